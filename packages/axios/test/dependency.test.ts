import { pipeline, registered, timeout } from '@resil/core';
import axios from 'axios';
import { expect, it } from 'vitest';
import { type ResilientOptions, resilient } from '../src/index.js';

const told = (baseURL: string | undefined, options?: ResilientOptions) => {
  const client = resilient(axios.create(baseURL === undefined ? {} : { baseURL }), options);
  return { client, dependency: registered().at(-1)?.describe().dependency };
};

it('tells what an instance stands before, without credentials and path', () => {
  const { dependency } = told('https://ann:secret@prices.example:8443/v1?key=secret');
  expect(dependency).toEqual({
    client: 'axios',
    target: 'https://prices.example:8443',
    innerAttempts: 1,
  });
  expect(told(undefined).dependency).toEqual({ client: 'axios', innerAttempts: 1 });
  expect(told('/relative').dependency).not.toHaveProperty('target');
});

it('lets what the user says go first, beside a pipeline of his own too', () => {
  const dependency = { critical: true, target: 'prices', restartDuration: 5_000 };
  const whole = { client: 'axios', innerAttempts: 1, ...dependency };
  expect(told('https://prices.example', { dependency }).dependency).toEqual(whole);
  const own = () => pipeline(timeout({ duration: 500 }));
  expect(told(undefined, { dependency, pipeline: own }).dependency).toEqual(whole);
});

it('answers tools that ask whether it is protected', () => {
  const { client } = told('https://prices.example');
  expect(Reflect.get(client, '@resil/axios/wrapped')).toBe(true);
  expect(Reflect.get(axios.create(), '@resil/axios/wrapped')).toBeUndefined();
});

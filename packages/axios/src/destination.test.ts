import type { InternalAxiosRequestConfig } from 'axios';
import { describe, expect, it } from 'vitest';
import { destinationOf } from './destination.js';

const of = (config: Partial<InternalAxiosRequestConfig>): string =>
  destinationOf(config as InternalAxiosRequestConfig);

describe('destinationOf', () => {
  it.each<[Partial<InternalAxiosRequestConfig>, string]>([
    [{ url: 'https://api.example.com/v1/a?token=s' }, 'https://api.example.com'],
    [{ url: '/users', baseURL: 'https://api.example.com/v1' }, 'https://api.example.com'],
    [{ url: 'users', baseURL: 'https://api.example.com' }, 'https://api.example.com'],
    [{ baseURL: 'https://api.example.com' }, 'https://api.example.com'],
    [{ url: 'http://other:81/x', baseURL: 'https://api.example.com' }, 'http://other:81'],
    [
      { url: 'http://other/x', baseURL: 'https://api.example.com', allowAbsoluteUrls: false },
      'https://api.example.com',
    ],
    [{ url: 'HTTPS://API.Example.com:443/x' }, 'https://api.example.com'],
    [{ url: 'http://user:pass@host:80/x' }, 'http://host'],
    [{ url: 'http://host?x=a@b' }, 'http://host'],
    [{ url: 'http://[::1]:8080/x' }, 'http://[::1]:8080'],
    [{ url: '/docker', socketPath: '/var/run/docker.sock' }, 'unix:/var/run/docker.sock'],
    [{ url: '/relative' }, 'unknown'],
    [{ url: 'data:text/plain,hello' }, 'unknown'],
    [{}, 'unknown'],
  ])('%j is %s', (config, expected) => {
    expect(of(config)).toBe(expected);
  });

  it('gives the same answer beyond the number of origins that it remembers', () => {
    for (let index = 0; index < 2_100; index++) {
      expect(of({ url: `http://h${index}:80/` })).toBe(`http://h${index}`);
    }
  });
});

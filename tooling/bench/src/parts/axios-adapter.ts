/** What `@resil/axios` adds to a request on loopback. */
import { Agent } from 'node:http';
import { resilient } from '@resil/axios';
import { startHttpProcess } from '@resil/testbed';
import axios, { type AxiosInstance } from 'axios';
import axiosRetry from 'axios-retry';
import { adapterCost } from '../adapter-cost.js';
import type { Part } from '../part.js';
import type { Contender } from '../rounds.js';

export const axiosAdapter: Part = async (progress) => {
  const server = await startHttpProcess();
  const agents: Agent[] = [];
  const client = (): AxiosInstance => {
    const httpAgent = new Agent({ keepAlive: true });
    agents.push(httpAgent);
    return axios.create({ baseURL: server.origin, httpAgent });
  };
  const contender = (name: string, instance: AxiosInstance): Contender => ({
    name,
    call: () => instance.get('/prices/7'),
  });
  const repeating = client();
  axiosRetry(repeating, { retries: 2 });
  try {
    progress('bare, bare again, @resil/axios, axios-retry');
    return await adapterCost('axios', {
      bare: contender('axios, bare', client()),
      control: contender('axios, bare again (A/A)', client()),
      wrapped: contender('@resil/axios', resilient(client())),
      others: [contender('axios-retry', repeating)],
    });
  } finally {
    for (const agent of agents) agent.destroy();
    await server.kill();
  }
};

/** The page's entry: the state of each pipeline, as the stream tells it. */
import type { DashboardSample, DashboardSnapshot, PipelineOfProcess } from '../protocol.js';

const rows = new Map<string, PipelineOfProcess>();
const app = document.getElementById('app') as HTMLElement;
const stream = new EventSource('events');

stream.addEventListener('snapshot', (event) => {
  rows.clear();
  take(JSON.parse(event.data) as DashboardSnapshot);
});
stream.addEventListener('sample', (event) => {
  const sample = JSON.parse(event.data) as DashboardSample;
  for (const id of sample.removed) rows.delete(id);
  take(sample);
});

function take({ pipelines }: Pick<DashboardSample, 'pipelines'>): void {
  for (const row of pipelines) rows.set(row.id, row);
  const lines = [...rows.values()].map((row) => {
    const line = document.createElement('p');
    line.textContent = `${row.name ?? 'pipeline'}: ${row.state ?? 'no circuit'}`;
    return line;
  });
  app.replaceChildren(...lines);
}

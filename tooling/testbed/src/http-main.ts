/** The main file of the process that {@link startHttpProcess} starts. */
import type { HttpCommand, HttpProcessOptions } from './http-process.js';
import { type HttpService, startHttpService } from './http-server.js';

const options = JSON.parse(process.argv[2] ?? '{}') as HttpProcessOptions;
const service = await startHttpService(options);

process.on('message', (command: HttpCommand) => process.send?.(obey(service, command) ?? {}));
// Never outlives whoever started it.
process.on('disconnect', () => process.exit());
process.send?.(service.port);

function obey(target: HttpService, command: HttpCommand): unknown {
  switch (command.type) {
    case 'set':
      return target.set(command.faults);
    case 'service-time':
      return target.setServiceTime(command.serviceTime);
    case 'reset-counters':
      return target.resetCounters();
    case 'counters':
      return target.counters();
  }
}

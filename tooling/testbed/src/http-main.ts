/** The main file of the process that {@link startHttpProcess} starts. */
import { serveParent } from './child-service.js';
import type { HttpCommand } from './http-process.js';
import { type HttpService, startHttpService } from './http-server.js';

await serveParent(startHttpService, obey);

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

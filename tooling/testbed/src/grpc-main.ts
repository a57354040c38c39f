/** The main file of the process that {@link startGrpcProcess} starts. */
import { serveParent } from './child-service.js';
import type { GrpcCommand } from './grpc-process.js';
import { type GrpcService, startGrpcService } from './grpc-server.js';

await serveParent(startGrpcService, obey);

function obey(target: GrpcService, command: GrpcCommand): unknown {
  switch (command.type) {
    case 'set':
      return target.set(command.faults);
    case 'health':
      return target.setHealth(command.status);
    case 'counters':
      return target.counters();
  }
}

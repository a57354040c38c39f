/** The main file of the process that {@link startGrpcProcess} starts. */
import type { GrpcCommand, GrpcProcessOptions } from './grpc-process.js';
import { type GrpcService, startGrpcService } from './grpc-server.js';

const options = JSON.parse(process.argv[2] ?? '{}') as GrpcProcessOptions;
const service = await startGrpcService(options);

process.on('message', (command: GrpcCommand) => process.send?.(obey(service, command) ?? {}));
// Never outlives whoever started it.
process.on('disconnect', () => process.exit());
process.send?.(service.port);

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

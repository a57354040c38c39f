// Imported first, and written so that any Node since 14 can parse it: an old Node must get a
// sentence, not a syntax error from a later import.

const oldest = [20, 19];
const [major, minor] = process.versions.node.split('.').map(Number);

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  console.error(
    `This project needs Node ${oldest.join('.')} or newer; this is Node ${process.versions.node}. ` +
      'Install a newer Node and run the same command again.',
  );
  process.exit(1);
}

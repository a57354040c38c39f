/** Entry for workerd, whose `test` command calls `test`; timers may only be touched from there on. */
export default {
  async test(): Promise<void> {
    const { runSuite } = await import('./run.js');
    const { failed } = await runSuite((line) => console.log(line));
    if (failed > 0) throw new Error(`${failed} tests failed`);
  },
};

// A CommonJS module, as TypeScript emits one.

Object.defineProperty(exports, '__esModule', { value: true });
exports.default = (task) => `common ${task}`;

/** What a command was given can't be worked with. The message is a sentence for who typed it; the exit code is 2. */
export class BadInputError extends Error {
  readonly code = 'RESIL_BAD_INPUT';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BadInputError';
  }
}

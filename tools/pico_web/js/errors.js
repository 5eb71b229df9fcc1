/* The errors that the decoder raises on purpose. Their kinds are the names of the classes in pico_core/errors.py. */

export class PicoError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "PicoError";
    this.kind = kind;
  }
}

export const corrupt = message => new PicoError("CorruptError", message);
export const truncated = message => new PicoError("TruncatedError", message);
export const unsupported = message => new PicoError("UnsupportedVersionError", message);

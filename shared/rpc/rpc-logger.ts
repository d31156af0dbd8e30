type Log = (fields: object, message: string) => void;

/** The part of pino's logger that rpc uses. */
export interface RpcLogger {
  readonly debug: Log;
  readonly info: Log;
  readonly warn: Log;
  readonly error: Log;
}

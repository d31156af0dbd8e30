import {
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';

/** A call whose method gets messages no faster than its peer may send them. */
class PacedCall extends ServerInterceptingCall {
  readonly #waitMs: () => number;

  constructor(call: ServerInterceptingCallInterface, waitMs: () => number) {
    super(call, {
      sendMetadata: (metadata, next) => {
        metadata.set('grpc-accept-encoding', 'identity');
        next(metadata);
      },
    });
    this.#waitMs = waitMs;
  }

  override startRead(): void {
    const ms = this.#waitMs();
    if (ms > 0) setTimeout(() => super.startRead(), ms);
    else super.startRead();
  }
}

/**
 * Holds back messages of peers that send too many: they wait where flow control keeps them.
 *
 * @param waitMs how long the next message of whoever calls from an address must wait
 */
export function messagePaceInterceptor(waitMs: (address: string) => number): ServerInterceptor {
  return (_method, call) => {
    const address = call.getPeer();
    return new PacedCall(call, () => waitMs(address));
  };
}

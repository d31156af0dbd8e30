import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';

/** Who counts the messages of one call. */
export interface MessageCount {
  /** How long the next message must wait, in milliseconds; it is counted. */
  messageWaitMs(): number;
  /** A method has taken a message of so many bytes. */
  messageTaken(bytes: number): void;
}

/** Calls that passed, by the metadata object that gRPC hands to their methods. */
const pacedCalls = new WeakMap<Metadata, PacedCall>();

/** A call whose method gets messages no faster than its peer may send them, and than it takes them. */
class PacedCall extends ServerInterceptingCall {
  readonly #count: MessageCount | undefined;
  /** Messages that gRPC reads ahead for a method that takes them one by one. */
  #untakenCount = 0;
  #isTakenOneByOne = false;
  #isReadDue = false;

  constructor(
    call: ServerInterceptingCallInterface,
    count: MessageCount | undefined,
    onMetadata: (metadata: Metadata) => void,
  ) {
    super(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, passOn) => {
            onMetadata(metadata);
            passOn(metadata);
          },
        }),
      sendMetadata: (metadata, next) => {
        metadata.set('grpc-accept-encoding', 'identity');
        next(metadata);
      },
    });
    this.#count = count;
  }

  override startRead(): void {
    this.#isReadDue = this.#isTakenOneByOne && this.#untakenCount > 0;
    if (!this.#isReadDue) this.#read();
  }

  takeOneByOne(): (bytes: number) => void {
    this.#isTakenOneByOne = true;
    return (bytes) => {
      this.#count?.messageTaken(bytes);
      this.#untakenCount -= 1;
      if (this.#isReadDue) this.startRead();
    };
  }

  #read(): void {
    this.#untakenCount += 1;
    const ms = this.#count?.messageWaitMs() ?? 0;
    if (ms > 0) setTimeout(() => super.startRead(), ms);
    else super.startRead();
  }
}

/**
 * Holds back messages of peers that send too many, or more than their methods take: they wait where
 * flow control keeps them.
 *
 * @param countOf who counts the messages of the call that just begins
 */
export function messagePaceInterceptor(countOf: () => MessageCount | undefined): ServerInterceptor {
  return (_method, call) => {
    const paced: PacedCall = new PacedCall(call, countOf(), (metadata) =>
      pacedCalls.set(metadata, paced),
    );
    return paced;
  };
}

/**
 * From now on gRPC reads one message ahead of the method that takes those of a call, and not sixteen:
 * a hundred streams that a slow disk holds up would fill the memory.
 *
 * @returns is to be told of each message that is taken, with its bytes
 */
export function takeOneByOne(metadata: Metadata): (bytes: number) => void {
  const paced = pacedCalls.get(metadata);
  if (!paced) throw new Error('A call reached its method without being paced');
  return paced.takeOneByOne();
}

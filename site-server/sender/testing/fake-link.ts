import { WaybillError } from '../../../shared/domain/errors.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { WakeSignal } from '../../../shared/runtime/wake-signal.ts';
import type { SiteChannel } from '../site-connections.ts';

/** How a link of a test is. */
export interface FakeLinkOptions {
  readonly clock: Clock;
  /** @default 1_000_000 */
  readonly bytesPerMs?: number;
  /** @default 1 */
  readonly roundTripMs?: number;
}

const never = new Promise<never>(() => {});

interface Answer {
  readonly heldBytes: string;
  readonly complete: boolean;
}

/** What a test sees of a message of PutFile. */
interface Part {
  readonly file?: { fileHash: Buffer; fileBytes: number; requestId: string };
  readonly offset?: number;
  readonly data: Buffer;
}

/** Another site at the end of a link in simulated time: keeps counts, not bytes. */
export class FakeSite {
  readonly #options: Required<FakeLinkOptions>;
  /** Bytes held of each file, by hash. */
  readonly held = new Map<string, number>();
  /** What was asked, in order: offer, put, instruction. */
  readonly asked: string[] = [];
  /** Transfers taken, by request ID as the test's signing encodes it. */
  readonly instructions: unknown[] = [];
  readonly dialled: string[] = [];
  /** Answers PutInstruction with this failure, while it is set. */
  refusal: Error | undefined;
  /** Ends PutFile with this failure once the file is whole, and keeps nothing of it. */
  fileRefusal: Error | undefined;
  isUp = true;
  /** Called when somebody has found that nothing answers, before it hears of that. */
  onUnreachable = () => {};
  /** Addresses at which nothing answers. */
  readonly deadAddresses = new Set<string>();
  /** A file is used up as soon as its instruction is taken. */
  usesFilesUp = false;
  /** Content bytes put on the wire towards this site, over all calls. */
  wireBytes = 0;
  /** The most bytes that were on their way unconfirmed in one call. */
  inFlightMax = 0;
  openCalls = 0;
  openCallsMax = 0;
  /** The link dies when so many bytes have been put on the wire, each once. */
  readonly cutsAtBytes: number[] = [];
  /** Whether calls of PutFile are answered at all. */
  isSilent = false;
  #cuts = new Set<(error: Error) => void>();

  constructor(options: FakeLinkOptions) {
    this.#options = { bytesPerMs: 1_000_000, roundTripMs: 1, ...options };
  }

  /**
   * A channel to this site, at an address.
   *
   * @param life from its crash on the caller asks nothing and hears of nothing
   */
  channel(address = 'a:1', life: { readonly hasCrashed: boolean } = { hasCrashed: false }) {
    this.dialled.push(address);
    const isDown = () => !this.isUp || this.deadAddresses.has(address);
    const unary = async (method: string, request: never, { signal }: { signal: AbortSignal }) => {
      if (life.hasCrashed) return never;
      if (isDown()) {
        this.onUnreachable();
        throw unreachable(address);
      }
      await this.#options.clock.sleep(this.#options.roundTripMs / 2, signal);
      if (life.hasCrashed) return never;
      const answer = method === 'offerFile' ? this.#offer(request) : this.#instruct(request);
      await this.#options.clock.sleep(this.#options.roundTripMs / 2, signal);
      return life.hasCrashed ? never : answer;
    };
    const duplex = (_method: string, { signal }: { signal: AbortSignal }) => {
      if (isDown() || life.hasCrashed) throw unreachable(address);
      return this.#putFile(signal);
    };
    return { unary, duplex, close: () => {} } as unknown as SiteChannel;
  }

  /** The link dies now, with all that is on its way. */
  cut(): void {
    for (const end of [...this.#cuts]) end(unreachable('a:1'));
  }

  #offer({ fileHash }: { fileHash: Buffer }): { heldBytes: string } {
    this.asked.push('offer');
    return { heldBytes: `${this.held.get(fileHash.toString('hex')) ?? 0}` };
  }

  #instruct(instruction: unknown): object {
    this.asked.push('instruction');
    if (this.refusal) throw this.refusal;
    this.instructions.push(instruction);
    if (this.usesFilesUp) this.held.clear();
    return {};
  }

  #putFile(signal: AbortSignal) {
    this.asked.push('put');
    const call = new FakePutFile(this, this.#options);
    const end = (error: Error) => call.end(error);
    this.#cuts.add(end);
    this.openCalls += 1;
    this.openCallsMax = Math.max(this.openCallsMax, this.openCalls);
    void call.over.then(() => {
      this.#cuts.delete(end);
      this.openCalls -= 1;
    });
    signal.addEventListener('abort', () => call.end(signal.reason as Error));
    return call.methods;
  }
}

class FakePutFile {
  readonly over: Promise<void>;
  readonly #site: FakeSite;
  readonly #options: Required<FakeLinkOptions>;
  readonly #answers: Answer[] = [];
  readonly #wake = new WakeSignal();
  #finish = () => {};
  #failure: Error | undefined;
  #isOver = false;
  #hasAllParts = false;
  #freeAtMs = 0;
  #file: Part['file'];
  #sentBytes = 0;
  #confirmedBytes = 0;

  constructor(site: FakeSite, options: Required<FakeLinkOptions>) {
    this.#site = site;
    this.#options = options;
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  readonly methods = {
    write: (part: Part) => this.#write(part),
    read: () => this.#read(),
    end: () => this.#endOfParts(),
    cancel: () => this.end(new Error('cancelled')),
  };

  end(failure?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    this.#finish();
    this.#wake.wake();
  }

  /** The receiver ends once it has all that came. */
  #endOfParts(): void {
    this.#hasAllParts = true;
    if (this.#confirmedBytes === this.#sentBytes) this.end();
  }

  async #write(part: Part): Promise<void> {
    if (this.#isOver) throw this.#failure ?? new Error('ended');
    if (part.file) {
      this.#file = part.file;
      this.#sentBytes = part.offset ?? 0;
      this.#confirmedBytes = this.#sentBytes;
    }
    this.#sentBytes += part.data.length;
    this.#site.wireBytes += part.data.length;
    const inFlight = this.#sentBytes - this.#confirmedBytes;
    this.#site.inFlightMax = Math.max(this.#site.inFlightMax, inFlight);
    const cutAt = this.#site.cutsAtBytes[0] ?? Number.POSITIVE_INFINITY;
    if (this.#site.wireBytes >= cutAt) {
      this.#site.cutsAtBytes.shift();
      return this.#site.cut();
    }
    void this.#carry(this.#sentBytes, part.data.length);
  }

  async #carry(heldBytes: number, bytes: number): Promise<void> {
    const { clock, bytesPerMs, roundTripMs } = this.#options;
    const startMs = Math.max(this.#freeAtMs, clock.monotonicMs());
    this.#freeAtMs = startMs + bytes / bytesPerMs;
    await clock.sleep(this.#freeAtMs + roundTripMs / 2 - clock.monotonicMs());
    if (this.#isOver || this.#site.isSilent || !this.#file) return;
    const fileHash = this.#file.fileHash.toString('hex');
    const isComplete = heldBytes === this.#file.fileBytes;
    if (isComplete && this.#site.fileRefusal) {
      this.#site.held.delete(fileHash);
      return this.end(this.#site.fileRefusal);
    }
    this.#site.held.set(fileHash, heldBytes);
    await clock.sleep(roundTripMs / 2);
    if (this.#isOver) return;
    this.#confirmedBytes = heldBytes;
    this.#answers.push({ heldBytes: `${heldBytes}`, complete: isComplete });
    if (isComplete || (this.#hasAllParts && heldBytes === this.#sentBytes)) this.end();
    this.#wake.wake();
  }

  async #read(): Promise<Answer | undefined> {
    while (this.#answers.length === 0 && !this.#isOver) await this.#wake.wait();
    if (this.#failure) throw this.#failure;
    return this.#answers.shift();
  }
}

function unreachable(address: string): WaybillError {
  const reason = 'the link is cut';
  return new WaybillError({ code: 'PEER_UNREACHABLE', peer: 'site PS1', address, reason });
}

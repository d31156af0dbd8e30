import { WaybillError } from '../../shared/domain/errors.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import { workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { FileParts } from './file-parts.ts';
import type { LinkAllowance } from './link-allowance.ts';
import type { SendProgress } from './send-progress.ts';
import { SendWindow } from './send-window.ts';
import type { SiteChannel } from './site-connections.ts';

export interface FileTransferNeeds {
  readonly channel: Pick<SiteChannel, 'unary' | 'duplex'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly allowance: LinkAllowance;
  readonly progress: SendProgress;
}

export interface FileTransferConfig {
  /** Deadline of the question what the receiver has; one that hashes says it is busy. @default 60_000 */
  readonly offerDeadlineMs: number;
  /** How long a receiver may owe its word about a part. @default 120_000 */
  readonly stallMs: number;
}

type PutFile = ReturnType<RpcChannel<'SiteTransfer'>['duplex']>;

/** Brings one package file to one site: asks what is there, and sends the rest (REP-5). */
export class FileTransfer {
  readonly #needs: FileTransferNeeds;
  readonly #config: FileTransferConfig;
  readonly #request: SendRequest;
  readonly #wake = new WakeSignal();

  constructor(needs: FileTransferNeeds, config: FileTransferConfig, request: SendRequest) {
    this.#needs = needs;
    this.#config = config;
    this.#request = request;
  }

  /**
   * Resolves when the receiver has the whole file, verified.
   *
   * @throws whatever ended it; what the receiver has by then it keeps
   */
  async run(parts: Pick<FileParts, 'read'>, signal: AbortSignal): Promise<void> {
    const { fileBytes } = this.#request.file;
    const fromBytes = await this.#offer(signal);
    this.#needs.progress.offered(fromBytes);
    if (fromBytes === fileBytes) return;
    await this.#put(parts, fromBytes, signal);
  }

  async #offer(signal: AbortSignal): Promise<number> {
    const { channel } = this.#needs;
    const options = { deadlineMs: this.#config.offerDeadlineMs, signal };
    const { heldBytes } = await channel.unary('offerFile', this.#file, options);
    return this.#checked(Number(heldBytes), 0, this.#request.file.fileBytes);
  }

  async #put(
    parts: Pick<FileParts, 'read'>,
    fromBytes: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, allowance, progress } = this.#needs;
    const window = new SendWindow(allowance, fromBytes);
    try {
      await unlessStalled((either) => this.#bothWays({ parts, window, fromBytes }, either), {
        signal,
        stallMs: this.#config.stallMs,
        sleep: (ms, until) => clock.sleep(ms, until),
        progressCount: () => progress.changeCount,
        toFailure: () => this.#failed(`it took nothing for ${this.#config.stallMs} ms`),
      });
    } catch (error) {
      if (window.inFlightBytes > 0 && !signal.aborted) allowance.cut();
      throw error;
    }
  }

  /** Writes parts and reads what is held, until all is; what fails first ends both. */
  async #bothWays(
    of: { parts: Pick<FileParts, 'read'>; window: SendWindow; fromBytes: number },
    signal: AbortSignal,
  ): Promise<void> {
    const call = this.#needs.channel.duplex('putFile', { signal });
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    let failure: unknown;
    const endingBoth = (error: unknown) => {
      failure ??= signal.aborted ? (signal.reason ?? error) : error;
      over.abort(workIsOver);
      call.cancel();
    };
    const reading = this.#readHeld(call, of).catch(endingBoth);
    const writing = this.#writeParts(call, of, either).catch(endingBoth);
    await Promise.all([reading, writing]);
    if (failure !== undefined) throw failure;
  }

  async #writeParts(
    call: PutFile,
    {
      parts,
      window,
      fromBytes,
    }: { parts: Pick<FileParts, 'read'>; window: SendWindow; fromBytes: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { fileBytes } = this.#request.file;
    for (let offset = fromBytes; offset < fileBytes; ) {
      const bytes = Math.min(window.partBytes, fileBytes - offset);
      // Read while the window is full still: one part ahead, and no more.
      const data = await parts.read(offset, bytes);
      while (!window.hasRoomFor(bytes)) await this.#wake.wait(signal);
      await this.#writePart(call, window, { offset, data, isFirst: offset === fromBytes });
      offset += bytes;
    }
    call.end();
  }

  /** The one place where content goes out: a schedule and a rate limit wait here. */
  async #writePart(
    call: PutFile,
    window: SendWindow,
    { offset, data, isFirst }: { offset: number; data: Buffer; isFirst: boolean },
  ): Promise<void> {
    window.sent(data.length, this.#needs.clock.monotonicMs());
    this.#needs.progress.sent(data.length);
    await call.write(isFirst ? { file: this.#file, offset, data } : { data });
  }

  async #readHeld(
    call: PutFile,
    { window, fromBytes }: { window: SendWindow; fromBytes: number },
  ): Promise<void> {
    const { progress, allowance, clock } = this.#needs;
    let isComplete = false;
    for (let before = fromBytes; ; ) {
      const answer = await call.read();
      if (!answer) break;
      const held = this.#checked(Number(answer.heldBytes), before, before + window.inFlightBytes);
      window.confirmed(held, clock.monotonicMs());
      allowance.confirmed(held - before);
      progress.held(held);
      before = held;
      isComplete ||= answer.complete && held === this.#request.file.fileBytes;
      this.#wake.wake();
    }
    if (!isComplete) throw this.#failed('it ended PutFile before it had the whole file');
  }

  /** What a receiver says it has comes from the wire. */
  #checked(heldBytes: number, least: number, most: number): number {
    if (Number.isSafeInteger(heldBytes) && heldBytes >= least && heldBytes <= most) {
      return heldBytes;
    }
    throw this.#failed(`it says it has ${heldBytes} bytes; expected ${least} to ${most}`);
  }

  #failed(reason: string): WaybillError {
    const peer = `site ${this.#request.destinationSiteCode}`;
    return new WaybillError({ code: 'PEER_FAILED', peer, reason });
  }

  get #file() {
    const { requestId, file, packageId, sourceVersion, finalSiteCode } = this.#request;
    const fileHash = Buffer.from(file.fileHash, 'hex');
    return {
      ...{ requestId, fileHash, fileBytes: file.fileBytes },
      ...{ packageId, sourceVersion, finalSiteCode },
    };
  }
}

import { WaybillError } from '../../shared/domain/errors.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import {
  ignoreAbort,
  isAbortError,
  throwIfAborted,
  workIsOver,
} from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import type { FileParts } from './file-parts.ts';
import { LeaveWatch } from './leave-watch.ts';
import type { LinkAllowance } from './link-allowance.ts';
import type { SendProgress } from './send-progress.ts';
import { SendWindow } from './send-window.ts';
import type { SiteChannel } from './site-connections.ts';

export interface FileTransferNeeds {
  readonly channel: Pick<SiteChannel, 'unary' | 'duplex'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly allowance: LinkAllowance;
  readonly progress: SendProgress;
  /** Says when bytes may leave. */
  readonly permit: Pick<TransferPermit, 'takePart'>;
}

export interface FileTransferConfig {
  /** Deadline of the question what the receiver has; one that hashes says it is busy. @default 60_000 */
  readonly offerDeadlineMs: number;
  /** How long a receiver may owe its word about a part. @default 120_000 */
  readonly stallMs: number;
  /** How long a call stays open without a part that may leave: the receiver waits longer. @default 60_000 */
  readonly quietMs: number;
  /** How long one that makes way waits for the receiver's word about what is on its way. @default 2_000 */
  readonly leaveMs: number;
}

/** What ends a transfer. */
export interface FileTransferSignals {
  /** It is not wanted any more: it ends at once. */
  readonly signal: AbortSignal;
  /** It makes way: it ends between two parts. */
  readonly pause: AbortSignal;
}

type PutFile = ReturnType<RpcChannel<'SiteTransfer'>['duplex']>;

/** What one call of PutFile works on. */
interface Put {
  readonly parts: Pick<FileParts, 'read'>;
  readonly window: SendWindow;
  readonly fromBytes: number;
  /** Bytes that may leave at its beginning. */
  readonly grantedBytes: number;
}

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
   * @throws AbortError when it made way; else whatever ended it. What the receiver has by then it keeps
   */
  async run(parts: Pick<FileParts, 'read'>, signals: FileTransferSignals): Promise<void> {
    const { signal, pause } = signals;
    const either = AbortSignal.any([signal, pause]);
    const { fileBytes } = this.#request.file;
    for (let isWhole = false; !isWhole; ) {
      const fromBytes = await this.#offer(signal);
      this.#needs.progress.offered(fromBytes);
      if (fromBytes === fileBytes) return;
      const window = new SendWindow(this.#needs.allowance, fromBytes);
      // While nothing may leave, no call is open, and no place is taken at the receiver.
      const wantedBytes = Math.min(window.partBytes, fileBytes - fromBytes);
      const grantedBytes = await this.#needs.permit.takePart(wantedBytes, either);
      isWhole = await this.#put({ parts, window, fromBytes, grantedBytes }, signals);
      if (!isWhole) throwIfAborted(pause);
    }
  }

  async #offer(signal: AbortSignal): Promise<number> {
    const { channel } = this.#needs;
    const options = { deadlineMs: this.#config.offerDeadlineMs, signal };
    const { heldBytes } = await channel.unary('offerFile', this.#file, options);
    return this.#checked(Number(heldBytes), 0, this.#request.file.fileBytes);
  }

  /** @returns false when it was left before all of the file was there */
  async #put(put: Put, { signal, pause }: FileTransferSignals): Promise<boolean> {
    const { clock, allowance } = this.#needs;
    const { quietMs, stallMs } = this.#config;
    using leave = new LeaveWatch({ clock, pause, quietMs });
    try {
      return await unlessStalled((either) => this.#bothWays(put, leave, either), {
        ...{ signal, stallMs },
        sleep: (ms, until) => clock.sleep(ms, until),
        progressCount: this.#progressCounter(put),
        toFailure: () => this.#failed(`it took nothing for ${stallMs} ms`),
      });
    } catch (error) {
      if (put.window.inFlightBytes > 0 && !signal.aborted && !pause.aborted) allowance.cut();
      throw error;
    }
  }

  /** Grows with each word of the receiver, and while it owes none: whatever holds up parts here. */
  #progressCounter({ window }: Put): () => number {
    const { progress } = this.#needs;
    let restCount = 0;
    return () => {
      const isOwing = window.inFlightBytes > 0 || progress.remainingBytes === 0;
      restCount += isOwing ? 0 : 1;
      return progress.changeCount + restCount;
    };
  }

  /** Writes parts and reads what is held, until all is; what fails first ends both. */
  async #bothWays(put: Put, leave: LeaveWatch, signal: AbortSignal): Promise<boolean> {
    const call = this.#needs.channel.duplex('putFile', { signal });
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    let failure: unknown;
    const endingBoth = (error: unknown) => {
      failure ??= signal.aborted ? (signal.reason ?? error) : error;
      over.abort(workIsOver);
      call.cancel();
    };
    const reading = this.#readHeld(call, put, leave).catch(endingBoth);
    const writing = this.#writeParts(call, put, { leave, signal: either })
      .catch((error) => {
        const isLeft = isAbortError(error) && leave.signal.aborted && !either.aborted;
        if (!isLeft) throw error;
      })
      .then(() => this.#end(call, leave, over.signal))
      .catch(endingBoth);
    await reading.finally(() => over.abort(workIsOver));
    await writing;
    // Of one that is left, the next question to the receiver finds out what is wrong.
    const isLeft = leave.signal.aborted && !signal.aborted;
    if (failure !== undefined && !isLeft) throw failure;
    return !isLeft;
  }

  /** The one place where content goes out: each part waits until the arbiter lets it. */
  async #writeParts(
    call: PutFile,
    { parts, window, fromBytes, grantedBytes }: Put,
    { leave, signal }: { readonly leave: LeaveWatch; readonly signal: AbortSignal },
  ): Promise<void> {
    const { permit, clock, progress } = this.#needs;
    const { fileBytes } = this.#request.file;
    const either = AbortSignal.any([signal, leave.signal]);
    let offset = fromBytes;
    let data = await parts.read(offset, grantedBytes);
    for (let bytes = grantedBytes; bytes > 0; ) {
      const part = data.subarray(0, bytes);
      window.sent(bytes, clock.monotonicMs());
      progress.sent(bytes);
      await call.write(
        offset === fromBytes ? { file: this.#file, offset, data: part } : { data: part },
      );
      offset += bytes;
      data = data.subarray(bytes);
      // Read while the window is full still: one part ahead, and no more.
      const aheadBytes = Math.min(window.partBytes, fileBytes - offset);
      if (data.length === 0 && aheadBytes > 0) data = await parts.read(offset, aheadBytes);
      while (!window.hasRoomFor(data.length)) await this.#wake.wait(either);
      bytes = data.length > 0 ? await leave.during(permit.takePart(data.length, either)) : 0;
    }
  }

  /** One that is left has a moment to hear of what is on its way. */
  async #end(call: PutFile, { signal }: LeaveWatch, over: AbortSignal): Promise<void> {
    call.end();
    if (!signal.aborted) return;
    await this.#needs.clock.sleep(this.#config.leaveMs, over).catch(ignoreAbort);
    if (!over.aborted) call.cancel();
  }

  async #readHeld(call: PutFile, { window, fromBytes }: Put, leave: LeaveWatch): Promise<void> {
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
    if (isComplete || leave.signal.aborted) return;
    throw this.#failed('it ended PutFile before it had the whole file');
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

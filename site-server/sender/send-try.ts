import { WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { MiniJob, SendRequest } from '../../shared/domain/send-request.ts';
import type { AuditEvent } from '../../shared/rpc/audit-event.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { PackageFileStore } from '../package-file-store/package-file-store.ts';
import { FileParts } from './file-parts.ts';
import {
  FileTransfer,
  type FileTransferConfig,
  type FileTransferSignals,
} from './file-transfer.ts';
import type { LinkAllowance } from './link-allowance.ts';
import { toSendFailure } from './send-failure.ts';
import type { SendProgress } from './send-progress.ts';
import type { SignedInstructions } from './signed-instructions.ts';
import type { SiteChannel, SiteConnections } from './site-connections.ts';

export interface SendTryNeeds {
  readonly connections: Pick<SiteConnections, 'use'>;
  readonly directory: Pick<SiteDirectory, 'own' | 'addressesOf'>;
  readonly files: Pick<PackageFileStore, 'pathOf'>;
  readonly instructions: Pick<SignedInstructions, 'make'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  /** Gets what another site refused, as the trail of that site has it. */
  readonly auditTrail: { record(event: AuditEvent): void };
  /** Resolves when the progress told so far is written. */
  readonly whenWritten: () => Promise<void>;
}

export interface SendTryConfig extends FileTransferConfig {
  /** Deadline of the instruction, after its file. @default 60_000 */
  readonly instructionDeadlineMs: number;
}

/** What one try works on. */
export interface SendTryOrder {
  readonly request: SendRequest;
  readonly job: MiniJob;
  readonly progress: SendProgress;
  readonly allowance: LinkAllowance;
  readonly permit: Pick<TransferPermit, 'takePart'>;
}

/** One try to bring a package file and its instruction to the next site. */
export class SendTry {
  readonly #needs: SendTryNeeds;
  readonly #config: SendTryConfig;

  constructor(needs: SendTryNeeds, config: SendTryConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /**
   * Tries the addresses in order; resolves when the receiver answers for the package.
   *
   * @throws the failure of the last address tried; one that is not of its address ends the try;
   *   AbortError when it made way
   */
  async run(order: SendTryOrder, signals: FileTransferSignals): Promise<void> {
    const { destinationSiteCode: siteCode } = order.request;
    const addresses = this.#needs.directory.addressesOf(siteCode);
    let failure: unknown = noAddress(siteCode);
    for (const address of addresses) {
      const work = (channel: SiteChannel) => this.#send(channel, order, signals);
      try {
        return await this.#needs.connections.use({ siteCode, address }, work);
      } catch (error) {
        failure = error;
        if (signals.signal.aborted) break;
        const { isOfAddress, isRefusal } = toSendFailure(error, () => false);
        if (isRefusal && error instanceof WaybillError) this.#audit(order.request, address, error);
        if (!isOfAddress) break;
      }
    }
    throw failure;
  }

  #audit(
    { requestId, packageId, sourceVersion, destinationSiteCode }: SendRequest,
    address: string,
    { code, message }: WaybillError,
  ): void {
    const { siteCode } = this.#needs.directory.own;
    const caller = toIdentityUri({ kind: 'site', siteCode });
    const what = `${requestId}, package ${packageId} version ${sourceVersion}`;
    const detail = `site ${destinationSiteCode} refused ${what}: ${message}`;
    const refusedBy = toIdentityUri({ kind: 'site', siteCode: destinationSiteCode });
    const event = { caller, address, method: 'send', result: code, detail };
    this.#needs.auditTrail.record({ ...event, refusedBy });
  }

  async #send(
    channel: SiteChannel,
    order: SendTryOrder,
    signals: FileTransferSignals,
  ): Promise<void> {
    const { request, progress, allowance, permit } = order;
    const { signal } = signals;
    if (await this.#wasHandedOver(channel, order, signal)) return;
    const { files, clock } = this.#needs;
    await using parts = await FileParts.open(files.pathOf(request.file.fileHash), request.file);
    const needs = { channel, clock, allowance, progress, permit };
    await new FileTransfer(needs, this.#config, request).run(parts, signals);
    await this.#instruct(channel, order, signal);
  }

  /**
   * When all bytes had arrived before, the answer to the instruction may have been lost, and the
   * receiver may have used the file up since: it is asked before anything is sent again.
   */
  async #wasHandedOver(
    channel: SiteChannel,
    order: SendTryOrder,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (order.request.remainingBytes > 0) return false;
    try {
      await this.#instruct(channel, order, signal);
      return true;
    } catch (error) {
      const { isOfAddress } = toSendFailure(error, () => false);
      if (isAbortError(error) || isOfAddress) throw error;
      // It is no answer before the file was offered; the same failure will come again if it is one.
      return false;
    }
  }

  async #instruct(channel: SiteChannel, order: SendTryOrder, signal: AbortSignal): Promise<void> {
    // From here on the receiver may use the file up: that all of it is there must not be forgotten.
    await this.#needs.whenWritten();
    const instruction = await this.#needs.instructions.make(order.job, order.request);
    const deadlineMs = this.#config.instructionDeadlineMs;
    await channel.unary('putInstruction', instruction, { deadlineMs, signal });
  }
}

function noAddress(siteCode: string): WaybillError {
  const peer = `Site ${siteCode}`;
  const reason = 'no address of it is known here';
  return new WaybillError({ code: 'PEER_UNREACHABLE', peer, address: 'no address', reason });
}

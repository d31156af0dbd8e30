import { type ErrorCode, isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { AuditTrail } from '../audit-trail/audit-trail.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { isNeighbour } from './neighbour.ts';
import type { NeighbourStates } from './neighbour-states.ts';
import { Refusal, RefusedByPeer } from './replication-session.ts';

/** What noting the ends of streams needs. */
export interface StreamEndsNeeds {
  readonly store: Pick<StateStore, 'write'>;
  readonly states: NeighbourStates;
  readonly directory: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly status: StatusReporter;
  readonly auditTrail: Pick<AuditTrail, 'record'>;
  readonly logger: Logger;
  /** Whether a stream with this site runs, that is a newer one. */
  readonly isConnected: (siteCode: string) => boolean;
}

const synchronisePath = '/waybill.v1.Replication/Synchronise';

/** Longest time for which a refusal stands without a second look, in milliseconds. */
const heldMsMax = 30_000;

/**
 * Notes how streams with neighbours end: in their states, in the log, and what was refused in a status
 * message, once for each reason until a stream was well again.
 */
export class StreamEnds {
  readonly #needs: StreamEndsNeeds;
  readonly #config: { readonly retryDelayMs: number };
  /** Sites of which refusals were told, and their codes. */
  readonly #told = new Map<string, Set<string>>();
  /** Sites that knew more of this site than itself, since the program began. */
  readonly #claimants = new Set<string>();

  constructor(needs: StreamEndsNeeds, config: { readonly retryDelayMs: number }) {
    this.#needs = needs;
    this.#config = config;
  }

  /** Notes how a stream, or the attempt at one, has ended. */
  async note(siteCode: string, error: unknown): Promise<void> {
    const reason = reasonOf(siteCode, error);
    // Of a site that is none, or has a newer stream by now, nothing is noted.
    const isNoted = this.#isNeighbour(siteCode) && !this.#needs.isConnected(siteCode);
    if (error instanceof Refusal) {
      if (error === this.#needs.states.heldRefusal(siteCode)) return;
      await this.#tellRefusal(siteCode, error.error);
      if (isNoted)
        this.#needs.states.ended(siteCode, reason, { error, forMs: this.#heldMs(siteCode) });
      return;
    }
    if (!isNoted) return;
    const before = this.#needs.states.of(siteCode);
    if (before.connected) this.#told.delete(siteCode);
    const isNews = before.connected || before.reason !== reason;
    if (isUnexpected(error)) this.#needs.logger.error({ siteCode, err: error }, 'Fault');
    else if (isNews) this.#logEnd(siteCode, error, reason);
    this.#needs.states.ended(siteCode, reason);
  }

  /** Who is refused by the other side stays apart from it until somebody acts. */
  #logEnd(siteCode: string, error: unknown, reason: string): void {
    const { logger } = this.#needs;
    const isRefused = error instanceof RefusedByPeer || isRefusalOfTheirs(error);
    if (isRefused) logger.warn({ siteCode, reason }, 'Replication refused by the other site');
    else logger.info({ siteCode, reason }, 'Replication disconnected');
  }

  /** How long a refusal stands: shorter than the child waits before it tries again. */
  #heldMs(siteCode: string): number {
    const tryCount = this.#needs.states.of(siteCode).refusalCount + 1;
    const { retryDelayMs: firstMs } = this.#config;
    return retryDelayMs({ tryCount, firstMs, capMs: heldMsMax, random: () => 0 }) / 2;
  }

  #isNeighbour(siteCode: string): boolean {
    return isNeighbour(siteCode, this.#needs.directory);
  }

  /** Tells administrators, once for the same reason. */
  async #tellRefusal(siteCode: string, error: WaybillError): Promise<void> {
    const { logger } = this.#needs;
    const told = this.#told.get(siteCode) ?? new Set();
    if (told.has(error.code)) return;
    this.#told.set(siteCode, told.add(error.code));
    logger.warn({ siteCode, code: error.code, reason: error.message }, 'Replication refused');
    await this.#report({ messageId: 9005, insertionStrings: [siteCode, error.message] });
  }

  async #report(message: Parameters<StatusReporter['message']>[0]): Promise<void> {
    const { status, store } = this.#needs;
    try {
      await store.write(status.message(message), { sync: false });
    } catch (failure) {
      // With a full disk the log has it.
      if (!isErrorWithCode(failure, 'DISK_FULL')) throw failure;
    }
  }

  /** Something was not taken, though the stream goes on. */
  async noteNotTaken(siteCode: string, address: string, error: WaybillError): Promise<void> {
    this.audit(siteCode, address, error);
    await this.#tellRefusal(siteCode, error);
  }

  /**
   * A neighbour knows later changes of this site than this site does.
   *
   * @returns whether it is believed; a site that is not trusted, once until the next start: for to go
   *   on from what it says costs all neighbours much
   */
  async noteForgotten(siteCode: string, address: string, isTrusted: boolean): Promise<boolean> {
    const isNew = !this.#claimants.has(siteCode);
    this.#claimants.add(siteCode);
    if (!isNew) return isTrusted;
    const detail = isTrusted ? allTaken : fewTaken;
    const caller = toIdentityUri({ kind: 'site', siteCode });
    const event = { caller, address, method: synchronisePath, result: 'OK', detail } as const;
    this.#needs.auditTrail.record(event);
    await this.#report({ messageId: 9007, insertionStrings: [siteCode, detail] });
    return true;
  }

  /** What the parent sent; what children send is audited by the server, with the failed call. */
  audit(siteCode: string, address: string, { code, message }: WaybillError): void {
    const caller = toIdentityUri({ kind: 'site', siteCode });
    const event = { caller, address, method: synchronisePath, result: code, detail: message };
    this.#needs.auditTrail.record(event);
  }
}

const allTaken =
  'its state store is an older copy of itself, or its numbers went back. What that site has of this site is taken back';
const fewTaken =
  'its state store may be an older copy of itself. Only what any site may write is taken back; if the store is such a copy, stop this site, delete the store and start again: then all is';

function isUnexpected(error: unknown): boolean {
  const isExpected = error instanceof WaybillError || error instanceof RefusedByPeer;
  return !isExpected && !isAbortError(error);
}

/** Codes that say how a stream was lost, and not that the other side refused something. */
const lossCodes = [
  ...(['PEER_UNREACHABLE', 'PEER_FAILED', 'PEER_IDENTITY_MISMATCH'] as const),
  ...(['DEADLINE_EXCEEDED', 'DISK_FULL'] as const),
] satisfies ErrorCode[];

function isRefusalOfTheirs(error: unknown): boolean {
  return error instanceof WaybillError && !isErrorWithCode(error, ...lossCodes);
}

function reasonOf(siteCode: string, error: unknown): string {
  // Which call is over is nobody's concern who asks why a site is away.
  if (error instanceof Error && isAbortError(error))
    return error.message === endedByOther ? endedReason : lostReason;
  const reason = error instanceof Error ? error.message : String(error);
  return isRefusalOfTheirs(error) ? `site ${siteCode} refused: ${reason}` : reason;
}

/** What an abort says for which the other side ended a stream well. */
export const endedByOther = 'the other side ended the stream';
const endedReason = 'it ended the connection';
/** Without a word: its program, its machine, or the network broke off. */
const lostReason = 'its connection was lost';

/** How a stream ends at the parent: a refusal is told to the child. */
export function toEnd(error: unknown): { failure?: unknown } {
  if (error instanceof Refusal) return { failure: error.error };
  return isAbortError(error) || error instanceof RefusedByPeer ? {} : { failure: error };
}

/** That a neighbour is silent for too long. */
export function silent(siteCode: string, address: string, stallMs: number): WaybillError {
  const reason = `nothing was heard for ${stallMs} ms`;
  return new WaybillError({ code: 'PEER_UNREACHABLE', peer: `site ${siteCode}`, address, reason });
}

import { type ErrorCode, isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { AuditTrail } from '../audit-trail/audit-trail.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
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
  /** Sites of which a refusal was told, and its code. */
  readonly #told = new Map<string, string>();

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
    else if (isNews) this.#needs.logger.info({ siteCode, reason }, 'Replication disconnected');
    this.#needs.states.ended(siteCode, reason);
  }

  /** How long a refusal stands: shorter than the child waits before it tries again. */
  #heldMs(siteCode: string): number {
    const tryCount = this.#needs.states.of(siteCode).refusalCount + 1;
    const { retryDelayMs: firstMs } = this.#config;
    return retryDelayMs({ tryCount, firstMs, capMs: heldMsMax, random: () => 0 }) / 2;
  }

  #isNeighbour(siteCode: string): boolean {
    const { own, tree } = this.#needs.directory;
    return own.parent?.siteCode === siteCode || tree.parentOf(siteCode) === own.siteCode;
  }

  /** Tells administrators, once for the same reason. */
  async #tellRefusal(siteCode: string, error: WaybillError): Promise<void> {
    const { logger, status, store } = this.#needs;
    if (this.#told.get(siteCode) === error.code) return;
    this.#told.set(siteCode, error.code);
    logger.warn({ siteCode, code: error.code, reason: error.message }, 'Replication refused');
    const insertionStrings = [siteCode, error.message];
    try {
      await store.write(status.message({ messageId: 9005, insertionStrings }), { sync: false });
    } catch (failure) {
      // With a full disk the log has it.
      if (!isErrorWithCode(failure, 'DISK_FULL')) throw failure;
    }
  }

  /** What the parent sent; what children send is audited by the server, with the failed call. */
  audit(siteCode: string, address: string, { code, message }: WaybillError): void {
    const caller = toIdentityUri({ kind: 'site', siteCode });
    const event = { caller, address, method: synchronisePath, result: code, detail: message };
    this.#needs.auditTrail.record(event);
  }
}

function isUnexpected(error: unknown): boolean {
  const isExpected = error instanceof WaybillError || error instanceof RefusedByPeer;
  return !isExpected && !isAbortError(error);
}

/** Codes that say how a stream was lost, and not that the other side refused something. */
const lossCodes = [
  ...(['PEER_UNREACHABLE', 'PEER_FAILED', 'PEER_IDENTITY_MISMATCH'] as const),
  ...(['DEADLINE_EXCEEDED', 'DISK_FULL'] as const),
] satisfies ErrorCode[];

function reasonOf(siteCode: string, error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  const isTheirs = error instanceof WaybillError && !isErrorWithCode(error, ...lossCodes);
  return isTheirs ? `site ${siteCode} refused: ${reason}` : reason;
}

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

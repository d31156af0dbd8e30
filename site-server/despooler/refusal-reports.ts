import type { Clock } from '../../shared/runtime/clock.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';

/** What was refused, and of whom. */
export interface Refusal {
  /** The site that sent it, as its certificate says. */
  readonly siteCode: string;
  /** Empty when that could not be read. */
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly reason: string;
}

/** What reporting needs. */
export interface RefusalReportsComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** How many there are at most. */
export interface RefusalReportsConfig {
  /** Status messages about one site within the interval; the audit trail has all. @default 20 */
  readonly countMax: number;
  /** @default 10 minutes */
  readonly intervalMs: number;
}

const defaultRefusalReportsConfig: RefusalReportsConfig = { countMax: 20, intervalMs: 600_000 };

/**
 * Tells administrators of what other sites sent and this one refused (REP-7): status message 4404.
 * A site that goes on and on does not push everything else out of the table.
 */
export class RefusalReports {
  readonly #components: RefusalReportsComponents;
  readonly #config: RefusalReportsConfig;
  readonly #told = new Map<string, { sinceMs: number; count: number }>();

  constructor(components: RefusalReportsComponents, config = defaultRefusalReportsConfig) {
    this.#components = components;
    this.#config = config;
  }

  async tell({ siteCode, packageId, sourceVersion, reason }: Refusal): Promise<void> {
    if (!this.#mayTell(siteCode)) return;
    const { store, status } = this.#components;
    const known = packageId !== '';
    const strings = [known ? packageId : '(unreadable)', known ? `${sourceVersion}` : '?'];
    const message = status.message({
      messageId: 4404,
      insertionStrings: [...strings, siteCode, reason],
      packageId,
      sourceVersion,
    });
    await store.write(message, { sync: false });
  }

  #mayTell(siteCode: string): boolean {
    const nowMs = this.#components.clock.nowMs();
    const told = this.#told.get(siteCode);
    const isOver = !told || nowMs - told.sinceMs >= this.#config.intervalMs;
    const current = isOver ? { sinceMs: nowMs, count: 0 } : told;
    current.count += 1;
    // As many as there are sites: callers are checked before.
    this.#told.set(siteCode, current);
    return current.count <= this.#config.countMax;
  }
}

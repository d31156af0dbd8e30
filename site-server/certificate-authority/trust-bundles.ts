import { isTrustBundle, type TrustBundle } from '../../shared/certificates/trust-bundle.ts';
import type { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { trustBundleKey } from '../../shared/domain/trust-bundle.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { CertificateAuthority } from './certificate-authority.ts';

/** What trust bundles need. */
export interface TrustBundlesComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
  readonly trustedRoots: Pick<TrustedRoots, 'held' | 'verdictOn' | 'take'>;
  /** Absent where this site has none. */
  readonly authority: Pick<CertificateAuthority, 'isTop' | 'bundle' | 'readRootsAgain'> | undefined;
}

/** How often is looked whether a command has changed the root. */
export interface TrustBundlesConfig {
  /** @default 5_000 */
  readonly lookMs: number;
}

export const defaultTrustBundlesConfig: TrustBundlesConfig = { lookMs: 5_000 };

/**
 * Which roots the hierarchy trusts, told by its top and taken by this site (docs/trust.md, 6). Owns the replicated
 * table "trust bundles": one row. At the top publishes what stands in `<data>/authority`; everywhere
 * takes what a trusted root has signed into `roots.crt`. A crash leaves the row, which is looked at again at the
 * next start.
 */
export class TrustBundles implements Component {
  readonly #components: TrustBundlesComponents;
  readonly #config: TrustBundlesConfig;
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<() => void>();
  /** The newest bundle that was believed. */
  #known: TrustBundle | undefined;
  #offered: readonly string[] = [];
  #unsubscribe = () => {};
  #looking: Promise<void> = Promise.resolve();
  #taking: Promise<void> = Promise.resolve();

  constructor(components: TrustBundlesComponents, config = defaultTrustBundlesConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    const { store } = this.#components;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    await this.#take(await this.#rows.get(trustBundleKey));
    await this.#publish().catch((err: unknown) => {
      // The next look publishes them.
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
      this.#components.logger.warn({ err }, 'The roots could not be published');
    });
    this.#looking = this.#lookForEver();
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#stopping.abort();
    await this.#looking;
    await this.#taking;
  }

  /**
   * What agents without replication are to be told; undefined before the first bundle is known. Of the generation
   * that this site trusts itself, and no other.
   */
  current(): TrustBundle | undefined {
    const { held } = this.#components.trustedRoots;
    return this.#known?.generation === held.generation ? this.#known : undefined;
  }

  /** Calls `listener` whenever there is something else to tell. @returns ends it */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /**
   * For whoever takes rows of "trust bundles" from other sites: why this row is not believed, as the end of a
   * sentence; undefined when it is, or when it is only old.
   */
  checkRow(key: string, row: unknown): string | undefined {
    if (key !== trustBundleKey) return `there is no row but ${trustBundleKey}`;
    const verdict = this.#components.trustedRoots.verdictOn(row);
    if (verdict.kind === 'newer') this.#offered = verdict.bundle.roots;
    return verdict.kind === 'refused' ? verdict.reason : undefined;
  }

  /** PEM; roots of a newer bundle that was just checked and is about to be taken. */
  offeredRoots(): readonly string[] {
    return this.#offered;
  }

  /** Whether a row takes something back: nobody deletes it, and an old one is somebody's memory. */
  isRollback(row: unknown): boolean {
    return row === undefined || this.#components.trustedRoots.verdictOn(row).kind === 'older';
  }

  #onWritten(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.space !== keySpaces.trustBundles.name || change.type !== 'put') continue;
      this.#taking = this.#taking.then(() => this.#take(change.value));
    }
  }

  /** Never fails for what a row says; the failure of a disk is told, and the next start looks again. */
  async #take(row: unknown): Promise<void> {
    if (row === undefined) return;
    const { trustedRoots, logger } = this.#components;
    try {
      const verdict = await trustedRoots.take(row);
      if (verdict.kind === 'newer' || verdict.kind === 'same') this.#know(row as TrustBundle);
      if (verdict.kind === 'newer') {
        const { generation, roots } = verdict.bundle;
        logger.info({ generation, roots: roots.length }, 'Trusts other roots from now on');
      } else if (verdict.kind === 'refused') {
        logger.warn({ reason: verdict.reason }, 'A trust bundle is not believed');
      }
    } catch (err) {
      logger.error({ err }, 'The roots to trust could not be written');
    }
  }

  #know(bundle: TrustBundle): void {
    this.#known = bundle;
    for (const listener of this.#listeners) listener();
  }

  /** Tells everybody of the roots as the top has them; a row that is newer than they are is left alone. */
  async #publish(): Promise<void> {
    const { authority, store, logger } = this.#components;
    const bundle = authority?.bundle;
    if (!bundle) return;
    const row = await this.#rows.get(trustBundleKey);
    const known = isTrustBundle(row) ? row.generation : 0;
    if (known > bundle.generation) {
      logger.error(
        { known, own: bundle.generation },
        'The authority was restored from a backup before the last change of the root; restore a newer one',
      );
    }
    if (known >= bundle.generation) return;
    await store.write([this.#rows.put(trustBundleKey, bundle)], { sync: true });
    logger.info({ generation: bundle.generation }, 'Published which roots are trusted');
  }

  async #lookForEver(): Promise<void> {
    const { authority, clock } = this.#components;
    if (!authority?.isTop) return;
    try {
      for (;;) {
        await clock.sleep(this.#config.lookMs, this.#stopping.signal);
        await this.#look(authority);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  async #look(authority: Pick<CertificateAuthority, 'readRootsAgain'>): Promise<void> {
    try {
      await authority.readRootsAgain();
      await this.#publish();
    } catch (err) {
      // What a command is just writing, or somebody's chmod, is no reason to end; nor is a full disk.
      if (!isErrorWithCode(err, 'CERTIFICATE_INVALID', 'DISK_FULL')) throw err;
      this.#components.logger.warn({ err }, 'The roots could not be looked at or published');
    }
  }

  get #rows() {
    return this.#components.store.records(keySpaces.trustBundles);
  }
}

import { readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { heldSuffix } from '../../shared/content-library/library-layout.ts';
import { ignoreAbort } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { type HeldImport, heldImportText, parseHeldImport } from './held-import.ts';

/** What holding imported files needs. */
export interface HeldImportsComponents {
  readonly library: {
    /** As far as it says which version of a package is served. */
    getPackage(packageId: string): Promise<{ readonly sourceVersion: number } | undefined>;
    readonly layout: { readonly staging: string };
  };
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
}

/** How long they are held. */
export interface HeldImportsConfig {
  /** How long imported files stay that no package uses. @default 30 days */
  readonly keptMs: number;
  /** How often it is looked for what is over. @default 1 h */
  readonly sweepIntervalMs: number;
}

/** Where an import is taken apart that is not done yet. */
const unfinishedName = `import${heldSuffix}`;
const recordName = 'held.json';

/**
 * Holds the files of imports in the content library, though nothing uses them, by a directory in its
 * staging: as long as that is there, what was taken in since it was made is not swept. It goes when the
 * package is served in that version, or its time is over. A crash leaves the directory of an import that
 * was not done; it goes at the start.
 */
export class HeldImports implements Component {
  readonly #components: HeldImportsComponents;
  readonly #config: HeldImportsConfig;
  readonly #turns = new SerialQueue();
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();
  #beganAtMs = 0;

  constructor(components: HeldImportsComponents, config: HeldImportsConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    await rm(this.#pathOf(unfinishedName), { recursive: true, force: true });
    this.#sweeping = this.#sweepForEver();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#sweeping;
    await this.#turns.whenIdle();
  }

  /** Where the next import is taken apart; what is left there of one that failed goes. */
  async newPlace(): Promise<string> {
    const place = this.#pathOf(unfinishedName);
    await rm(place, { recursive: true, force: true });
    this.#beganAtMs = this.#components.clock.nowMs();
    return place;
  }

  /**
   * Holds what was taken apart at the place that was given out last; an earlier import of the package
   * makes way.
   *
   * @returns until when
   */
  hold(version: { readonly packageId: string; readonly sourceVersion: number }): Promise<number> {
    return this.#turns.run(async () => {
      const { packageId, sourceVersion } = version;
      const keptUntilMs = this.#components.clock.nowMs() + this.#config.keptMs;
      const unfinished = this.#pathOf(unfinishedName);
      // Manifests come from the site once more: only that the directory is there counts, at all times.
      for (const name of await readdir(unfinished)) {
        await rm(join(unfinished, name), { recursive: true, force: true });
      }
      const record = heldImportText({ packageId, sourceVersion, keptUntilMs });
      await writeFile(join(unfinished, recordName), record, { flush: true });
      const began = new Date(this.#beganAtMs);
      // What was taken in since is held, also where the file system does not know when it was made.
      await utimes(unfinished, began, began);
      const place = this.#pathOf(`${packageId}${heldSuffix}`);
      await rm(place, { recursive: true, force: true });
      await rename(unfinished, place);
      return keptUntilMs;
    });
  }

  /** Lets go of what is served by now, or over. */
  sweep(): Promise<void> {
    return this.#turns.run(async () => {
      const { staging } = this.#components.library.layout;
      const names = await readdir(staging);
      for (const name of names) {
        if (name === unfinishedName || !name.endsWith(heldSuffix)) continue;
        if (await this.#isNeeded(name)) continue;
        await rm(join(staging, name), { recursive: true, force: true });
        this.#components.logger.info({ name }, 'Imported files are not held any more');
      }
    });
  }

  async #isNeeded(name: string): Promise<boolean> {
    const { library, clock } = this.#components;
    const held = await this.#read(name);
    if (!held || clock.nowMs() >= held.keptUntilMs) return false;
    const served = await library.getPackage(held.packageId);
    return (served?.sourceVersion ?? 0) < held.sourceVersion;
  }

  /** Undefined when the disk has damaged it. */
  async #read(name: string): Promise<HeldImport | undefined> {
    try {
      return parseHeldImport(await readFile(join(this.#pathOf(name), recordName), 'utf8'));
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'EIO')) return undefined;
      throw error;
    }
  }

  async #sweepForEver(): Promise<void> {
    const { clock, logger } = this.#components;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.sweep();
      } catch (err) {
        logger.warn({ err }, 'Sweep of imported files failed');
      }
      await clock.sleep(this.#config.sweepIntervalMs, signal).catch(ignoreAbort);
    }
  }

  #pathOf(name: string): string {
    return join(this.#components.library.layout.staging, name);
  }
}

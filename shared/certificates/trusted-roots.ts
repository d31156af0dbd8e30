import { readFile } from 'node:fs/promises';
import { WaybillError } from '../domain/errors.ts';
import { certificateBlocks } from '../rpc/certificate-trust.ts';
import type { Clock } from '../runtime/clock.ts';
import { SerialQueue } from '../runtime/serial-queue.ts';
import { toSystemReason } from '../runtime/system-reason.ts';
import { type FileOwner, writeSecretFile } from './secret-files.ts';
import { type BundleVerdict, type HeldTrust, verdictOnBundle } from './trust-bundle.ts';

/** The line of `roots.crt` before the certificates; programs that read PEM pass over it. */
const generationLine = /^# Waybill roots, generation (\d{1,16})$/m;

/** The text of `roots.crt`: roots and generation in one file, so that both change in one step. */
export function rootsFileText({ generation, roots }: HeldTrust): string {
  const pems = roots.map((pem) => `${pem.trim()}\n`);
  return `# Waybill roots, generation ${generation}\n${pems.join('')}`;
}

/** What a `roots.crt` says; generation 0 when somebody put it there by hand. */
export function fromRootsFileText(text: string): HeldTrust {
  const generation = Number(generationLine.exec(text)?.[1] ?? 0);
  return { generation, roots: certificateBlocks(Buffer.from(text, 'latin1')) };
}

/** Writes `roots.crt` in one step. */
export function writeRootsFile(path: string, held: HeldTrust, owner?: FileOwner): Promise<void> {
  return writeSecretFile(path, rootsFileText(held), owner);
}

/**
 * The roots an agent trusts: its file `roots.crt`, and nothing beside it. Changes only by a trust bundle
 * that a root trusted before has signed, of a higher generation. A crash leaves the roots before or those after.
 */
export class TrustedRoots {
  readonly #path: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #changes = new SerialQueue();
  readonly #listeners = new Set<() => void>();
  #held: HeldTrust;

  private constructor(path: string, clock: Pick<Clock, 'nowMs'>, held: HeldTrust) {
    this.#path = path;
    this.#clock = clock;
    this.#held = held;
  }

  /** @throws CERTIFICATE_INVALID when the file cannot be read */
  static async open(path: string, clock: Pick<Clock, 'nowMs'>): Promise<TrustedRoots> {
    const text = await readFile(path, 'latin1').catch((error: unknown) => {
      const reason = `it cannot be read: ${toSystemReason(error)}`;
      throw new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause: error });
    });
    return new TrustedRoots(path, clock, fromRootsFileText(text));
  }

  get held(): HeldTrust {
    return this.#held;
  }

  /** What would become of a bundle; changes nothing. */
  verdictOn(bundle: unknown): BundleVerdict {
    return verdictOnBundle(bundle, this.#held, this.#clock.nowMs());
  }

  /**
   * Takes a bundle if it is newer and a trusted root signed it; resolves when that is on disk.
   *
   * @returns what became of it
   */
  take(bundle: unknown): Promise<BundleVerdict> {
    return this.#changes.run(async () => {
      const verdict = this.verdictOn(bundle);
      if (verdict.kind !== 'newer') return verdict;
      const { generation, roots } = verdict.bundle;
      await writeRootsFile(this.#path, { generation, roots });
      this.#held = { generation, roots };
      for (const listener of this.#listeners) listener();
      return verdict;
    });
  }

  /** Calls `listener` whenever other roots are trusted. @returns ends it */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}

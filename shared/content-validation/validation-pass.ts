import type { ContentLibrary } from '../content-library/content-library.ts';
import type { ContentReader } from '../content-library/content-reader.ts';
import { verifySignature } from '../content-library/data-library.ts';
import { isDiskDamage } from '../content-library/library-failure.ts';
import type { LibraryPackage } from '../content-library/package-library.ts';
import { VerifiedFiles } from '../content-library/verified-files.ts';
import type { ContentDescriptor } from '../domain/content.ts';
import {
  type ContentValidationState,
  type Finding,
  withFindings,
  withOtherUsers,
} from '../domain/content-validation.ts';
import { WaybillError } from '../domain/errors.ts';
import { throwIfAborted } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { CheckedFile } from './check-worker.ts';
import { EntryPaths, type NamedFile } from './entry-paths.ts';
import type { FileChecks } from './file-checks.ts';

/** What a pass needs. */
export interface ValidationPassNeeds {
  readonly library: Pick<ContentLibrary, 'getPackage' | 'openContent' | 'deltasOf' | 'upkeep'>;
  readonly checks: Pick<FileChecks, 'check'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
  /** Writes how far it is. */
  readonly save: (state: ContentValidationState) => Promise<void>;
  /** Called when bytes were read. */
  readonly onProgress: (readBytes: number) => void;
}

/** Files, and bytes, that are checked between two places a pass may go on from. */
const stepFilesMax = 256;
const stepBytesMax = 64 * 1024 * 1024;
/** How often the place is written when nothing was found. */
const saveMs = 2_000;
/** Looks at a file that changes while it is looked at. */
const looksMax = 3;

/**
 * Goes once through what a library holds of a package: its record, then of each content the manifest and
 * the signature, the files, the deltas. What is damaged is set aside before anything else is read. A
 * crash leaves the place it was written last; files that were set aside since then are known by that.
 */
export class ValidationPass {
  readonly #needs: ValidationPassNeeds;
  readonly #signal: AbortSignal;
  /** Files this run has looked at: one that stands there twice is read once. */
  readonly #seen = new VerifiedFiles();
  #state: ContentValidationState;
  #savedMs: number;

  constructor(needs: ValidationPassNeeds, begin: ContentValidationState, signal: AbortSignal) {
    this.#needs = needs;
    this.#state = begin;
    this.#signal = signal;
    this.#savedMs = needs.clock.monotonicMs();
  }

  /** How far it is. */
  get state(): ContentValidationState {
    return this.#state;
  }

  /**
   * Goes on from the place of its state to the end.
   *
   * @returns false when the package became another version meanwhile
   * @throws AbortError
   */
  async run(version: LibraryPackage): Promise<boolean> {
    if (this.#state.contentIndex === 0 && this.#state.entryIndex === 0) await this.#record(version);
    while (this.#state.contentIndex < version.contents.length) {
      const content = version.contents[this.#state.contentIndex];
      if (!content || !(await this.#isHere(version))) return false;
      await this.#content(content);
      const { contentIndex } = this.#state;
      await this.#keep({ ...this.#state, contentIndex: contentIndex + 1, entryIndex: 0 }, true);
    }
    if (!(await this.#isHere(version))) return false;
    await this.#keep({ ...this.#state, isDone: true }, true);
    return true;
  }

  async #isHere({ packageId, packageHash }: LibraryPackage): Promise<boolean> {
    return (await this.#needs.library.getPackage(packageId))?.packageHash === packageHash;
  }

  async #record({ packageId, packageHash }: LibraryPackage): Promise<void> {
    if (!(await this.#needs.library.upkeep.mendRecord(packageId))) return;
    const detail = 'the record of the package was damaged, and was written anew';
    this.#log({ packageId, detail }, 'Record of a package was damaged');
    const finding = { path: `${packageId}.json`, fileHash: packageHash, detail } as const;
    const findings = [{ ...finding, finding: 'damaged', isMended: true } as const];
    await this.#keep(withFindings(this.#state, findings), true);
  }

  async #content(descriptor: ContentDescriptor): Promise<void> {
    const reader = await this.#openContent(descriptor.contentId);
    if (!reader) return;
    try {
      const unsound = await this.#manifestFindings(reader);
      if (unsound.length > 0) return await this.#skipContent(descriptor, unsound);
      await this.#files(reader);
      await this.#deltas(descriptor.contentId);
    } finally {
      await reader[Symbol.asyncDispose]();
    }
  }

  /** Undefined when the package went, or became another one, a moment ago. */
  async #openContent(contentId: string): Promise<ContentReader | undefined> {
    return this.#needs.library.openContent(contentId).catch((error: unknown) => {
      if (error instanceof WaybillError && error.code === 'CONTENT_NOT_HELD') return undefined;
      throw error;
    });
  }

  /**
   * Both are read to their ends before a file is judged by them: a line that is damaged must not make a
   * right file look wrong.
   */
  async #manifestFindings(reader: ContentReader): Promise<Finding[]> {
    const { descriptor, signaturePath } = reader;
    const findings: Finding[] = [];
    const look = async (part: 'manifest' | 'signature', read: () => Promise<void>) => {
      const failure = await failureOf(read);
      throwIfAborted(this.#signal);
      if (!failure) return;
      const isMissing = failure.code === 'CONTENT_NOT_HELD';
      if (!isMissing) {
        await this.#needs.library.upkeep.setAsideManifest(descriptor.contentId, part);
      }
      const { contentHash, signatureHash } = descriptor;
      findings.push({
        path: `${descriptor.contentId}.${part}`,
        fileHash: part === 'manifest' ? contentHash : signatureHash,
        finding: isMissing ? 'missing' : 'damaged',
        detail: failure.message,
      });
    };
    await look('manifest', async () => {
      for await (const _ of reader.entries()) throwIfAborted(this.#signal);
    });
    await look('signature', () => verifySignature(signaturePath, descriptor));
    return findings;
  }

  async #skipContent(content: ContentDescriptor, findings: readonly Finding[]): Promise<void> {
    this.#log({ contentId: content.contentId, findings }, 'Manifest of a content was damaged');
    const { damagedManifestCount, doneBytes } = this.#state;
    await this.#keep(
      {
        ...withFindings(this.#state, findings),
        damagedManifestCount: damagedManifestCount + findings.length,
        doneBytes: doneBytes + content.sizeBytes,
      },
      true,
    );
  }

  async #files(reader: ContentReader): Promise<void> {
    const paths = new EntryPaths();
    for await (const batch of reader.entries()) {
      const files = paths.filesOf(batch);
      for (const step of inSteps(files.filter((file) => this.#isAhead(file)))) {
        await this.#step(step);
      }
    }
  }

  #isAhead({ entryIndex }: NamedFile): boolean {
    return entryIndex >= this.#state.entryIndex;
  }

  async #step(files: readonly NamedFile[]): Promise<void> {
    const fresh = new Map<string, NamedFile>();
    for (const file of files) {
      if (!this.#seen.has(file.hash) && !fresh.has(file.hash)) fresh.set(file.hash, file);
    }
    const { findings, otherUsers } = await this.#findings([...fresh.values()]);
    for (const hash of fresh.keys()) this.#seen.add(hash);
    const last = files.at(-1)?.entryIndex ?? 0;
    const found = withOtherUsers(withFindings(this.#state, findings), otherUsers);
    await this.#keep(
      {
        ...found,
        entryIndex: last + 1,
        doneBytes: found.doneBytes + sumOf(files),
        fileCount: found.fileCount + fresh.size,
      },
      findings.length > 0,
    );
  }

  async #findings(
    files: readonly NamedFile[],
  ): Promise<{ findings: Finding[]; otherUsers: string[] }> {
    const checked = await this.#checked(files);
    const byHash = new Map(files.map((file) => [file.hash, file]));
    const findings: Finding[] = [];
    const otherUsers: string[] = [];
    for (const one of checked) {
      const path = byHash.get(one.hash)?.path ?? '';
      const finding = this.#findingOf(one, path);
      if (!finding) continue;
      findings.push(finding);
      if (this.#isOurs(one)) {
        const { upkeep } = this.#needs.library;
        otherUsers.push(...(await upkeep.otherUsersOf(one.hash, this.#state.packageId)));
      }
    }
    if (findings.length > 0) {
      const { packageId } = this.#state;
      const named = findings.slice(0, 20);
      this.#log({ packageId, count: findings.length, named }, 'Files of a package were unsound');
    }
    return { findings, otherUsers };
  }

  /** Whether this validation has taken the file out, be it before a crash. */
  #isOurs({ hash, verdict }: CheckedFile): boolean {
    if (verdict.kind === 'damaged') return true;
    const atMs = this.#needs.library.upkeep.quarantine.setAsideAtMs(hash);
    return verdict.kind === 'missing' && (atMs ?? 0) >= this.#state.startedAtMs;
  }

  #findingOf({ hash, verdict }: CheckedFile, path: string): Finding | undefined {
    if (verdict.kind === 'right') return undefined;
    const named = { path, fileHash: hash };
    if (verdict.kind === 'mended') {
      return { ...named, finding: 'damaged', detail: verdict.detail, isMended: true };
    }
    if (verdict.kind === 'damaged') return { ...named, finding: 'damaged', detail: verdict.detail };
    const { quarantine } = this.#needs.library.upkeep;
    if (quarantine.setAsideAtMs(hash) === undefined) return { ...named, finding: 'missing' };
    return { ...named, finding: 'damaged', detail: 'it was damaged, and is set aside' };
  }

  /** What was found of the files; what is damaged is out of the library when this resolves. */
  async #checked(files: readonly NamedFile[]): Promise<CheckedFile[]> {
    const { checks, onProgress, library } = this.#needs;
    const settled: CheckedFile[] = [];
    let open: readonly { readonly hash: string; readonly sizeBytes: number }[] = files.map(
      ({ hash, sizeBytes }) => ({ hash, sizeBytes }),
    );
    for (let look = 1; open.length > 0; look++) {
      const checked = await checks.check(open, { signal: this.#signal, onRead: onProgress });
      const damaged = checked.flatMap(({ hash, sizeBytes, verdict }) =>
        verdict.kind === 'damaged' ? [{ hash, sizeBytes, identity: verdict.identity }] : [],
      );
      const taken = new Set(await library.upkeep.setAside(damaged));
      const isSettled = ({ hash, verdict }: CheckedFile) =>
        verdict.kind !== 'damaged' || taken.has(hash) || look === looksMax;
      settled.push(...checked.filter(isSettled));
      // Another file stands there by now: it is looked at, too.
      open = checked.filter((one) => !isSettled(one));
    }
    library.upkeep.noteRight(
      settled.flatMap(({ hash, verdict }) => (isSound(verdict) ? [hash] : [])),
    );
    return settled;
  }

  /** Advice: what is wrong with it is told, and counts as nothing that is missing. */
  async #deltas(contentId: string): Promise<void> {
    const { library } = this.#needs;
    const isListDamaged = await library.upkeep.isDeltaListDamaged(contentId);
    const deltas = await library.deltasOf(contentId);
    const files = deltas
      .filter(({ deltaHash }) => !this.#seen.has(deltaHash))
      .map(({ deltaHash, deltaBytes }) => ({
        ...{ hash: deltaHash, sizeBytes: deltaBytes },
        ...{ path: `a delta of ${contentId}`, entryIndex: 0 },
      }));
    let damagedCount = isListDamaged ? 1 : 0;
    for (const step of inSteps(files)) {
      const { findings } = await this.#findings(step);
      damagedCount += findings.length;
    }
    if (damagedCount === 0) return;
    const damagedDeltaCount = this.#state.damagedDeltaCount + damagedCount;
    await this.#keep({ ...this.#state, damagedDeltaCount }, false);
  }

  async #keep(state: ContentValidationState, isWritten: boolean): Promise<void> {
    throwIfAborted(this.#signal);
    this.#state = state;
    const nowMs = this.#needs.clock.monotonicMs();
    if (!isWritten && nowMs - this.#savedMs < saveMs) return;
    this.#savedMs = nowMs;
    await this.#needs.save(state);
  }

  #log(facts: object, message: string): void {
    this.#needs.logger.error(facts, message);
  }
}

function* inSteps(files: readonly NamedFile[]): Generator<readonly NamedFile[]> {
  let step: NamedFile[] = [];
  let bytes = 0;
  for (const file of files) {
    const isFull = step.length >= stepFilesMax || bytes + file.sizeBytes > stepBytesMax;
    if (isFull && step.length > 0) {
      yield step;
      step = [];
      bytes = 0;
    }
    step.push(file);
    bytes += file.sizeBytes;
  }
  if (step.length > 0) yield step;
}

function sumOf(files: readonly NamedFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function isSound({ kind }: CheckedFile['verdict']): boolean {
  return kind === 'right' || kind === 'mended';
}

/** What is wrong with what is read; a disk that cannot read it back is as bad as one that reads other bytes. */
async function failureOf(
  read: () => Promise<void>,
): Promise<{ readonly message: string; readonly code?: string } | undefined> {
  try {
    await read();
    return undefined;
  } catch (error) {
    if (error instanceof WaybillError) return { message: error.message, code: error.code };
    if (!isDiskDamage(error)) throw error;
    return { message: `it cannot be read: ${error.code}` };
  }
}

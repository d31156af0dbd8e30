import { lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ContentDescriptor } from '../domain/content.ts';
import { type PackageVersion, parsePackageId } from '../domain/package.ts';
import { syncDirectories } from './file-system-sync.ts';
import { toWriteFailure } from './library-failure.ts';
import { decodePackage, encodePackage } from './package-record.ts';

/** A package as this library holds it. */
export interface LibraryPackage extends PackageVersion {
  /** The job that brought this version. */
  readonly jobSerial: number;
}

/** A content and the package it belongs to. */
export interface PackageContent {
  readonly packageId: string;
  readonly descriptor: ContentDescriptor;
}

/** A record that cannot be read; it was set aside under another name. */
export interface DamagedRecord {
  readonly path: string;
  readonly setAsideAs: string;
  readonly reason: string;
}

const suffix = '.json';
const damagedSuffix = `${suffix}.damaged`;

/** Which packages are here, in which version: one small file each, kept in memory too. */
export class PackageLibrary {
  readonly #directory: string;
  readonly #packages = new Map<string, LibraryPackage>();
  /** contentId → the content, and the package it belongs to. */
  readonly #contents = new Map<string, PackageContent>();
  /** Packages whose record was set aside, in this process or before, and that did not come again. */
  readonly #setAside = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Reads all records. One that is damaged is set aside and told. */
  async load(): Promise<DamagedRecord[]> {
    const damaged: DamagedRecord[] = [];
    await mkdir(this.#directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      if (name.endsWith('.tmp')) await rm(path, { force: true });
      if (!name.endsWith(suffix)) continue;
      try {
        this.#remember(decodePackage(await readFile(path, 'utf8'), name.slice(0, -suffix.length)));
      } catch (error) {
        const setAsideAs = `${path}.damaged`;
        await rename(path, setAsideAs);
        damaged.push({ path, setAsideAs, reason: String(error) });
      }
    }
    await this.#findSetAside();
    return damaged;
  }

  /**
   * Whether a record is set aside of a package that was neither committed nor removed since. Which
   * contents it has, nobody can say: any content of no package may be one.
   */
  get hasSetAside(): boolean {
    return this.#setAside.size > 0;
  }

  get(packageId: string): LibraryPackage | undefined {
    return this.#packages.get(packageId);
  }

  /** All packages, by package ID. */
  list(): LibraryPackage[] {
    return [...this.#packages.values()].sort((a, b) => (a.packageId < b.packageId ? -1 : 1));
  }

  /** A content that some package has, else undefined. */
  contentOf(contentId: string): PackageContent | undefined {
    return this.#contents.get(contentId);
  }

  /** Writes what `publish` will make visible, beside what is. A crash leaves it to the next `load`. */
  async prepare(version: LibraryPackage): Promise<void> {
    const temporary = this.#temporaryOf(version.packageId);
    try {
      await using file = await open(temporary, 'w');
      await file.writeFile(encodePackage(version));
      await file.sync();
    } catch (error) {
      await rm(temporary, { force: true });
      throw toWriteFailure(error, this.#directory, 4096);
    }
  }

  /** Makes the prepared version the visible one, by one rename; durable when this resolves. */
  async publish(version: LibraryPackage): Promise<void> {
    const { packageId } = version;
    // From the rename to the sync a power cut may bring up either version: both keep their contents.
    this.#rememberContents(version);
    await rename(this.#temporaryOf(packageId), this.#pathOf(packageId));
    await syncDirectories(this.#directory, [this.#directory]);
    // Only now: whoever finds it here takes it for done.
    this.#remember(version);
    await this.#dropSetAside(packageId);
  }

  /**
   * Writes the record of a package anew when the one on disk is not what is in memory.
   *
   * @returns whether it was not
   */
  async mend(packageId: string): Promise<boolean> {
    const version = this.#packages.get(packageId);
    if (!version || (await this.#isRecordOf(version))) return false;
    const path = this.#pathOf(packageId);
    const stats = await lstat(path).catch(() => undefined);
    // Only what no rename replaces: a crash here must not leave the package without a record.
    if (stats?.isDirectory()) await rm(path, { recursive: true, force: true });
    await this.prepare(version);
    await this.publish(version);
    return true;
  }

  async #isRecordOf(version: LibraryPackage): Promise<boolean> {
    const path = this.#pathOf(version.packageId);
    try {
      if (!(await lstat(path)).isFile()) return false;
      // Both decoded, so that the order of fields tells nothing.
      const found = decodePackage(await readFile(path, 'utf8'), version.packageId);
      return isDeepStrictEqual(found, decodePackage(encodePackage(version), version.packageId));
    } catch {
      return false;
    }
  }

  /** Takes a package out of sight; durable when this resolves. */
  async remove(packageId: string): Promise<void> {
    await rm(this.#pathOf(packageId), { force: true });
    this.#forget(packageId);
    await this.#dropSetAside(packageId);
    await syncDirectories(this.#directory, [this.#directory]);
  }

  async #findSetAside(): Promise<void> {
    this.#setAside.clear();
    for (const name of await readdir(this.#directory)) {
      const packageId = name.slice(0, -damagedSuffix.length);
      if (!name.endsWith(damagedSuffix) || parsePackageId(packageId) === undefined) continue;
      if (!this.#packages.has(packageId)) this.#setAside.add(packageId);
      // The package has come again, just before a crash.
      else await rm(join(this.#directory, name), { force: true });
    }
  }

  async #dropSetAside(packageId: string): Promise<void> {
    if (!this.#setAside.has(packageId)) return;
    await rm(`${this.#pathOf(packageId)}.damaged`, { force: true });
    this.#setAside.delete(packageId);
  }

  #remember(version: LibraryPackage): void {
    this.#forget(version.packageId);
    this.#packages.set(version.packageId, version);
    this.#rememberContents(version);
  }

  #rememberContents(version: LibraryPackage): void {
    for (const descriptor of version.contents) {
      this.#contents.set(descriptor.contentId, { packageId: version.packageId, descriptor });
    }
  }

  #forget(packageId: string): void {
    for (const content of this.#packages.get(packageId)?.contents ?? []) {
      this.#contents.delete(content.contentId);
    }
    this.#packages.delete(packageId);
  }

  #temporaryOf(packageId: string): string {
    return `${this.#pathOf(packageId)}.tmp`;
  }

  #pathOf(packageId: string): string {
    if (parsePackageId(packageId) === undefined) throw new RangeError('This is no package ID');
    return join(this.#directory, `${packageId}${suffix}`);
  }
}

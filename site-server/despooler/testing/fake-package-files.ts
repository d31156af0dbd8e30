import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../../../shared/content-library/content-hash.ts';
import type { PackageFileFacts } from '../../../shared/domain/send-request.ts';
import { lengthOfPackageFile, type PackageFiles } from '../despool-ports.ts';

/** Whole package files in a folder. */
export class FakePackageFiles implements PackageFiles {
  readonly adopted: PackageFileFacts[] = [];
  /** Called before a file moves in. */
  onAdopt: () => Promise<void> = async () => {};
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  pathOf(fileHash: string): string {
    return join(this.#directory, fileHash);
  }

  has(fileHash: string): boolean {
    return existsSync(this.pathOf(fileHash));
  }

  async keep(fileHash: string): Promise<number | undefined> {
    return lengthOfPackageFile(this, fileHash);
  }

  async isSound(fileHash: string): Promise<boolean> {
    if (hashOf(await readFile(this.pathOf(fileHash))) === fileHash) return true;
    await rm(this.pathOf(fileHash));
    return false;
  }

  /** Called when room is asked for. */
  onMakeRoom: () => void = () => {};

  async makeRoom(): Promise<void> {
    this.onMakeRoom();
  }

  async adopt(path: string, facts: PackageFileFacts): Promise<void> {
    await this.onAdopt();
    await mkdir(this.#directory, { recursive: true });
    await rename(path, this.pathOf(facts.fileHash));
    this.adopted.push(facts);
  }
}

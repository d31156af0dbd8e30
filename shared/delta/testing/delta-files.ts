import { readFile, writeFile } from 'node:fs/promises';
import { hashOf } from '../../content-library/content-hash.ts';
import { TaskThreads } from '../../content-library/task-threads.ts';
import type { Delta } from '../../domain/delta.ts';
import { TemporaryDirectory } from '../../testing/temporary-directory.ts';
import { applyDelta, type MadePiece } from '../delta-applier.ts';
import { type DeltaConfig, defaultDeltaConfig, makeDelta } from '../delta-maker.ts';

/** Makes and applies deltas of bytes, over files in a directory of its own. */
export class DeltaFiles implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly threads = new TaskThreads();

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async open(): Promise<DeltaFiles> {
    return new DeltaFiles(await TemporaryDirectory.create());
  }

  /** Of files of any size, unless told otherwise. */
  async make(
    base: Uint8Array,
    file: Uint8Array,
    config: Partial<DeltaConfig> = {},
  ): Promise<{ delta: Delta; bytes: Buffer } | undefined> {
    const { basePath, filePath, deltaPath } = this.#paths;
    await writeFile(basePath, base);
    await writeFile(filePath, file);
    const request = {
      ...{ basePath, filePath, deltaPath },
      ...{ baseHash: hashOf(base), baseBytes: base.length },
      ...{ fileHash: hashOf(file), fileBytes: file.length },
    };
    const own = { ...defaultDeltaConfig, fileBytesMin: 0, deltaShareMax: 1e9, ...config };
    const delta = await makeDelta(this.threads, request, { config: own });
    return delta && { delta, bytes: await readFile(deltaPath) };
  }

  /** What comes out; the pieces that came before a failure, and the failure. */
  async apply(
    base: Uint8Array,
    delta: Delta,
    deltaBytes: Uint8Array,
  ): Promise<{ bytes: Buffer; pieces: MadePiece[]; error: unknown }> {
    const { basePath, deltaPath } = this.#paths;
    await writeFile(basePath, base);
    await writeFile(deltaPath, deltaBytes);
    const pieces: MadePiece[] = [];
    const onPiece = async (piece: MadePiece) => {
      pieces.push(piece);
    };
    const task = { delta, basePath, deltaPaths: [`${deltaPath}.none`, deltaPath] };
    const error = await applyDelta(this.threads, task, { onPiece }).catch(
      (reason: unknown) => reason,
    );
    return { bytes: Buffer.concat(pieces.map(({ bytes }) => bytes)), pieces, error };
  }

  get #paths() {
    const path = (name: string) => this.directory.join(name);
    return { basePath: path('base'), filePath: path('file'), deltaPath: path('delta') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.threads.stop();
    await this.directory[Symbol.asyncDispose]();
  }
}

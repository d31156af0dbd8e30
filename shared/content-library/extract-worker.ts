// The program of the thread that extracts a package.
import type { ExtractInput, ExtractProgress } from './extract-package.ts';
import { openManifest } from './manifest-reader.ts';
import { serveThreadTask, type TaskContext } from './thread-task.ts';
import { TreeWriter } from './tree-writer.ts';

serveThreadTask<ExtractInput, void, ExtractProgress>(async (input, context) => {
  const progress = new Progress(context);
  for (const content of input.contents) {
    using tree = new TreeWriter(content.directory, input.fileLibrary, progress.onBytes);
    for await (const batch of openManifest(content.manifestPath, content.descriptor).entries()) {
      for (const { entry } of batch) {
        tree.write(entry);
        if (entry.type === 'file') progress.onFile();
      }
    }
    tree.finish();
  }
  progress.tell();
});

/** Counts, and tells now and then. */
class Progress {
  readonly #context: TaskContext<ExtractProgress>;
  #fileCount = 0;
  #sizeBytes = 0;
  #toldBytes = 0;
  #toldFiles = 0;

  constructor(context: TaskContext<ExtractProgress>) {
    this.#context = context;
  }

  readonly onBytes = (bytes: number): void => {
    this.#context.throwIfAborted();
    this.#sizeBytes += bytes;
    if (this.#sizeBytes - this.#toldBytes >= 16 * 1024 * 1024) this.tell();
  };

  onFile(): void {
    this.#context.throwIfAborted();
    this.#fileCount++;
    if (this.#fileCount - this.#toldFiles >= 250) this.tell();
  }

  tell(): void {
    this.#toldBytes = this.#sizeBytes;
    this.#toldFiles = this.#fileCount;
    this.#context.send({ fileCount: this.#fileCount, sizeBytes: this.#sizeBytes });
  }
}

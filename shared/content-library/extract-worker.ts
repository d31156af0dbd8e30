// The program of the thread that extracts a package.
import type { ExtractInput } from './extract-package.ts';
import { openManifest } from './manifest-reader.ts';
import { type FileProgress, TaskProgress } from './task-progress.ts';
import { serveThreadTask } from './thread-task.ts';
import { TreeWriter } from './tree-writer.ts';

serveThreadTask<ExtractInput, void, FileProgress>(async (input, context) => {
  const progress = new TaskProgress((now) => context.send(now));
  const onBytes = (bytes: number) => {
    context.throwIfAborted();
    progress.onBytes(bytes);
  };
  for (const content of input.contents) {
    using tree = new TreeWriter(content.directory, input.fileLibrary, onBytes);
    for await (const batch of openManifest(content.manifestPath, content.descriptor).entries()) {
      for (const { entry } of batch) {
        context.throwIfAborted();
        tree.write(entry);
        if (entry.type === 'file') progress.onFile();
      }
    }
    tree.finish();
  }
  progress.tell();
});

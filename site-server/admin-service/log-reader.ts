import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { WaybillError } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { logFileNameOf } from '../../shared/runtime/logger.ts';

/** What the log reader needs. */
export interface LogReaderComponents {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Where the log files of this program are. */
  readonly directory: string;
}

/** Which lines of a log are wanted. */
export interface LogQuery {
  /** Name of a log file without its `.log`, such as pkgxfermgr, or of its component. */
  readonly component: string;
  /** The last so many lines. */
  readonly lineCount: number;
  /** Goes on with new lines until the signal fires. */
  readonly isFollowed: boolean;
}

const ending = '.log';
const newline = 0x0a;
/** Bytes read at once. */
const blockBytes = 64 * 1024;
/** A longer line is cut, so that a broken log costs bounded memory. */
const lineBytesMax = 1024 * 1024;
/** How soon a follower sees a new line. */
const followIntervalMs = 250;

/** Reads the log files of the site server's components (PTM-9), with one block in memory. */
export class LogReader {
  readonly #components: LogReaderComponents;

  constructor(components: LogReaderComponents) {
    this.#components = components;
  }

  /** Names of the logs there are, in order. */
  async components(): Promise<string[]> {
    const files = await readdir(this.#components.directory).catch(noneWhenAbsent);
    const logs = files.filter((file) => file.endsWith(ending));
    return logs.map((file) => file.slice(0, -ending.length)).sort();
  }

  /**
   * The last lines of a log, then new ones as they come. It goes by the name of its file, and by that of its
   * component, which stands in its lines.
   *
   * @throws LOG_UNKNOWN
   */
  async *read(query: LogQuery, signal: AbortSignal): AsyncGenerator<string> {
    const { component } = query;
    const known = await this.components();
    const name = logFileNameOf(component).slice(0, -ending.length);
    if (!known.includes(name)) {
      throw new WaybillError({ code: 'LOG_UNKNOWN', component, known: known.join(', ') });
    }
    const path = join(this.#components.directory, name + ending);
    const lines = new LineBuffer();
    let reading: LogPosition | undefined = await positionOfLastLines(path, query.lineCount);
    while (reading) {
      await using position: LogPosition = reading;
      reading = undefined;
      yield* newLines(position, lines);
      while (query.isFollowed && !reading && (await this.#pause(signal))) {
        reading = await positionIfRotated(position, path);
        // What came before a full log was set aside is read before its successor.
        yield* newLines(position, lines);
      }
    }
    yield* lines.rest();
  }

  /** False once the signal has fired. */
  async #pause(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#components.clock.sleep(followIntervalMs, signal);
      return true;
    } catch (error) {
      if (isAbortError(error)) return false;
      throw error;
    }
  }
}

/** Up to where a log file has been read; closes the file at its end. */
class LogPosition implements AsyncDisposable {
  readonly file: FileHandle;
  offsetBytes: number;

  constructor(file: FileHandle, offsetBytes: number) {
    this.file = file;
    this.offsetBytes = offsetBytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }
}

async function* newLines(position: LogPosition, lines: LineBuffer): AsyncGenerator<string> {
  const block = Buffer.alloc(blockBytes);
  for (;;) {
    const { bytesRead } = await position.file.read(block, 0, blockBytes, position.offsetBytes);
    if (bytesRead === 0) return;
    position.offsetBytes += bytesRead;
    yield* lines.add(block.subarray(0, bytesRead));
  }
}

async function positionOfLastLines(path: string, lineCount: number): Promise<LogPosition> {
  const file = await open(path);
  try {
    return new LogPosition(file, await startOfLastLines(file, lineCount));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The beginning of the file that has taken the place of this one, once that was set aside. */
async function positionIfRotated(
  position: LogPosition,
  path: string,
): Promise<LogPosition | undefined> {
  const [now, there] = await Promise.all([position.file.stat(), stat(path).catch(() => undefined)]);
  if (!there || there.ino === now.ino) return undefined;
  return new LogPosition(await open(path), 0);
}

/** Puts blocks of bytes together to lines. */
class LineBuffer {
  #parts: Buffer[] = [];
  #partBytes = 0;

  *add(block: Buffer): Generator<string> {
    let start = 0;
    for (let end = block.indexOf(newline); end !== -1; end = block.indexOf(newline, start)) {
      this.#push(block.subarray(start, end));
      yield this.#take();
      start = end + 1;
    }
    this.#push(block.subarray(start));
  }

  /** A last line that has no end; it is being written, or was cut off by a crash. */
  *rest(): Generator<string> {
    if (this.#partBytes > 0) yield this.#take();
  }

  #push(bytes: Buffer): void {
    const room = Math.max(0, lineBytesMax - this.#partBytes);
    const part = Buffer.from(bytes.subarray(0, room));
    this.#parts.push(part);
    this.#partBytes += part.length;
  }

  #take(): string {
    const line = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#partBytes = 0;
    return line;
  }
}

/** Where the last so many lines begin, found from the end backwards. */
async function startOfLastLines(file: FileHandle, lineCount: number): Promise<number> {
  const { size } = await file.stat();
  const block = Buffer.alloc(blockBytes);
  let newlineCount = 0;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await file.read(block, 0, end - start, start);
    for (let index = bytesRead - 1; index >= 0; index--) {
      // The newline at the very end closes the last line; it begins none.
      if (block[index] !== newline || start + index === size - 1) continue;
      newlineCount += 1;
      if (newlineCount === lineCount) return start + index + 1;
    }
    end = start;
  }
  return 0;
}

function noneWhenAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

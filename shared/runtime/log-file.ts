import { createStream, type RotatingFileStream } from 'rotating-file-stream';

export interface LogFileConfig {
  /** A file is rotated when it reaches this. @default 10_485_760 */
  readonly fileBytesMax: number;
  /** Older files kept beside it, as `<name>.1` (the youngest), `<name>.2` … @default 5 */
  readonly oldFilesMax: number;
  /** Lines that wait for a slow disk, in bytes; further ones are lost. @default 4_194_304 */
  readonly waitingBytesMax: number;
  /** After a failure, lines are lost for so long; then the file is opened again. @default 10_000 */
  readonly reopenDelayMs: number;
}

export const defaultLogFileConfig: LogFileConfig = {
  fileBytesMax: 10 * 1024 * 1024,
  oldFilesMax: 5,
  waitingBytesMax: 4 * 1024 * 1024,
  reopenDelayMs: 10_000,
};

/**
 * A log file that rotates by size. A log never stops the work it tells of: when the disk is full or
 * slow, lines are lost, and the first line after that says how many.
 */
export class LogFile {
  readonly #place: { readonly directory: string; readonly name: string };
  readonly #monotonicMs: () => number;
  readonly #config: LogFileConfig;
  #stream: RotatingFileStream | undefined;
  #reopenAtMs = 0;
  #lostCount = 0;

  constructor(
    needs: { directory: string; name: string; monotonicMs: () => number },
    config = defaultLogFileConfig,
  ) {
    this.#place = needs;
    this.#monotonicMs = needs.monotonicMs;
    this.#config = config;
  }

  /** Writes one line, which ends with a newline; never throws. */
  write(line: string): void {
    this.#stream ??= this.#open();
    if (!this.#stream || this.#stream.writableLength > this.#config.waitingBytesMax) {
      this.#lostCount += 1;
      return;
    }
    const lostCount = this.#lostCount;
    this.#lostCount = 0;
    if (lostCount > 0) this.#put(this.#stream, toLostLine(lostCount), lostCount);
    this.#put(this.#stream, line, 1);
  }

  #put(stream: RotatingFileStream, line: string, linesMeant: number): void {
    stream.write(line, (error) => {
      if (error) this.#lostCount += linesMeant;
    });
  }

  /** Resolves when all lines are in the file, or lost. */
  async close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#reopenAtMs = Number.POSITIVE_INFINITY;
    if (!stream || stream.destroyed) return;
    await new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.once('error', () => resolve());
      stream.end(() => resolve());
    });
  }

  #open(): RotatingFileStream | undefined {
    if (this.#monotonicMs() < this.#reopenAtMs) return undefined;
    const { directory, name } = this.#place;
    const stream = createStream((index) => (index ? `${name}.${index}` : name), {
      path: directory,
      size: `${this.#config.fileBytesMax}B`,
      rotate: this.#config.oldFilesMax,
      mode: 0o640,
    });
    stream.on('error', () => {
      if (this.#stream !== stream) return;
      this.#stream = undefined;
      this.#reopenAtMs = this.#monotonicMs() + this.#config.reopenDelayMs;
      stream.destroy();
    });
    return stream;
  }
}

function toLostLine(lostCount: number): string {
  return `${JSON.stringify({ level: 40, time: Date.now(), lostCount, msg: 'Log lines were lost' })}\n`;
}

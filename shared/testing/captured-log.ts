import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { Logger } from '../runtime/logger.ts';

/** One line of a log, with its facts. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [fact: string]: unknown;
}

/** A log that a test reads instead of printing it. */
export class CapturedLog {
  readonly lines: LogLine[] = [];
  readonly logger: Logger;

  constructor() {
    const lines = this.lines;
    const stream = new Writable({
      decodeStrings: false,
      write(chunk, _encoding, done) {
        lines.push(JSON.parse(String(chunk)) as LogLine);
        done();
      },
    });
    this.logger = pino({ level: 'debug' }, stream);
  }

  /** The messages at or above a level of pino (30 info, 40 warn, 50 error, 60 fatal). */
  messages(levelMin = 0): string[] {
    return this.lines.filter((line) => line.level >= levelMin).map((line) => line.msg);
  }
}

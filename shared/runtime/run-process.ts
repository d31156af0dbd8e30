import { WaybillError } from '../domain/errors.ts';
import { systemClock } from './clock.ts';
import type { Component } from './component.ts';
import { isDiskFull } from './disk-full.ts';
import { collectGarbageLessOften } from './garbage-collection.ts';
import type { Logger, Logging } from './logger.ts';
import { retryDelayMs } from './retry-schedule.ts';
import type { ServiceNotices } from './service-notices.ts';

/** A program that is put together but not started. */
export interface Program {
  /** The whole of it, such as the site server. */
  readonly component: Component;
  readonly logging: Logging;
}

/** Opens a program; `begun` is called as soon as there is a log, before anything is written to it. */
type OpenProgram = (begun: (logger: Logger) => void) => Promise<Program>;

/** What a process needs beside its program. */
export interface ProcessNeeds {
  /** Undefined: nobody started it who wants to know when it is ready. */
  readonly notices?: ServiceNotices | undefined;
}

/** How a process ends. */
export interface ProcessConfig {
  /** From the signal to the end of the process, at most. @default 5_000 */
  readonly stopMsMax: number;
  /** First wait for room before a start that met a full disk begins anew. @default 1_000 */
  readonly roomDelayMs: number;
  /** Longest such wait. @default 30_000 */
  readonly roomDelayMsMax: number;
}

const defaultProcessConfig: ProcessConfig = {
  stopMsMax: 5_000,
  roomDelayMs: 1_000,
  roomDelayMsMax: 30_000,
};

/** How long the last lines of a log may take. */
const closeLogsMsMax = 1_000;

/**
 * Runs a program until SIGTERM or SIGINT: opens it, starts it, stops it within 5 s and exits 0. A
 * second signal, or 5 s gone, ends the process with 1. So does a failure: an expected one with its
 * sentence on stderr, a bug (also a rejection or exception nobody caught) with a fatal line in the
 * log. Start-up repairs what that leaves. Whoever started it as a service is told when it is ready.
 * A start for which the disk is too full is no failure: it is told on stderr and to the service manager,
 * what was begun is stopped, and it begins anew now and then, until there is room.
 *
 * @param open reads the configuration, opens the logs, makes the components; starts nothing. May be called
 *   again after it has failed, or what it made was stopped
 */
export function runProcess(
  open: OpenProgram,
  needs: ProcessNeeds = {},
  config = defaultProcessConfig,
): void {
  collectGarbageLessOften();
  const life = new ProcessLife(open, needs.notices, config);
  process.on('SIGTERM', (signal) => life.stop(signal));
  process.on('SIGINT', (signal) => life.stop(signal));
  process.on('uncaughtException', (error) => life.fail(error));
  process.on('unhandledRejection', (reason) => life.fail(reason));
  life.run();
}

class ProcessLife {
  readonly #open: OpenProgram;
  readonly #notices: ServiceNotices | undefined;
  readonly #config: ProcessConfig;
  #program: Program | undefined;
  #starting: Promise<void> = Promise.resolve();
  readonly #ending = new AbortController();
  /** Whether the log says that the process is there. */
  #hasBegun = false;
  #hasStarted = false;
  #isEnding = false;
  #hasFailed = false;

  constructor(open: OpenProgram, notices: ServiceNotices | undefined, config: ProcessConfig) {
    this.#open = open;
    this.#notices = notices;
    this.#config = config;
  }

  run(): void {
    this.#notices?.starting();
    this.#starting = this.#startWithRoom();
    this.#starting.catch((error: unknown) => {
      // A start that `stop` has cut short may fail as it likes.
      if (!this.#isEnding) this.fail(error);
    });
  }

  /** Starts as often as it takes: whatever a start is in need of room for, it is as after a crash. */
  async #startWithRoom(): Promise<void> {
    for (let tryCount = 1; ; tryCount++) {
      try {
        return await this.#start();
      } catch (error) {
        if (this.#isEnding || !isDiskFull(error)) throw error;
        await this.#letGo(error);
      }
      const { roomDelayMs: firstMs, roomDelayMsMax: capMs } = this.#config;
      const delayMs = retryDelayMs({ tryCount, firstMs, capMs, random: Math.random });
      await systemClock.sleep(delayMs, this.#ending.signal);
    }
  }

  /** Says why it waits, and gives back what the start has taken: the next one takes it again. */
  async #letGo(error: unknown): Promise<void> {
    const text = `The start waits for room on the disk: ${toSentence(error)}`;
    writeError(text);
    this.#notices?.waiting(text);
    const program = this.#program;
    this.#program = undefined;
    program?.logging.logger.warn({ err: error }, 'The start waits for room on the disk');
    // What could not be stopped is a failure of the same disk.
    await program?.component.stop().catch(() => {});
    await program?.logging.close();
  }

  async #start(): Promise<void> {
    this.#program = await this.#open((logger) => this.#begun(logger));
    if (this.#isEnding) return;
    await this.#program.component.start();
    this.#hasStarted = true;
    if (this.#isEnding) return;
    this.#notices?.ready();
    this.#program.logging.logger.info('Process is ready');
  }

  /** A start that begins anew is one of the same process. */
  #begun(logger: Logger): void {
    if (!this.#hasBegun) logger.info('Process started');
    this.#hasBegun = true;
  }

  /** The normal stop. */
  stop(signal: NodeJS.Signals): void {
    if (this.#isEnding) process.exit(1);
    this.#isEnding = true;
    this.#ending.abort();
    this.#notices?.stopping();
    this.#program?.logging.logger.info({ signal }, 'Process was asked to stop');
    const { stopMsMax } = this.#config;
    setTimeout(() => {
      writeError(`The program did not stop within ${stopMsMax} ms and was ended`);
      process.exit(1);
    }, stopMsMax);
    this.#stopped().catch((error: unknown) => this.fail(error));
  }

  async #stopped(): Promise<void> {
    const wasStarting = !this.#hasStarted;
    await this.#program?.component.stop();
    if (wasStarting) {
      await this.#starting.catch(() => {});
      // What the start began after that.
      await this.#program?.component.stop();
    }
    this.#program?.logging.logger.info('Process stopped');
    await this.#program?.logging.close();
    process.exit(0);
  }

  /** The end after a failure nobody could handle. */
  fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#isEnding = true;
    const isExpected = error instanceof WaybillError;
    writeError(isExpected ? error.message : toStack(error));
    this.#program?.logging.logger.fatal({ err: error }, 'Process failed');
    setTimeout(() => process.exit(1), closeLogsMsMax);
    const exit = () => process.exit(1);
    (this.#program?.logging.close() ?? Promise.resolve()).then(exit, exit);
  }
}

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function toStack(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function writeError(text: string): void {
  process.stderr.write(`${text}\n`);
}

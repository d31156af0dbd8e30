import { WaybillError } from '../domain/errors.ts';
import type { Component } from './component.ts';
import { collectGarbageLessOften } from './garbage-collection.ts';
import type { Logging } from './logger.ts';
import type { ServiceNotices } from './service-notices.ts';

/** A program that is put together but not started. */
export interface Program {
  /** The whole of it, such as the site server. */
  readonly component: Component;
  readonly logging: Logging;
}

/** What a process needs beside its program. */
export interface ProcessNeeds {
  /** Undefined: nobody started it who wants to know when it is ready. */
  readonly notices?: ServiceNotices | undefined;
}

/** How a process ends. */
export interface ProcessConfig {
  /** From the signal to the end of the process, at most. @default 5_000 */
  readonly stopMsMax: number;
}

const defaultProcessConfig: ProcessConfig = { stopMsMax: 5_000 };

/** How long the last lines of a log may take. */
const closeLogsMsMax = 1_000;

/**
 * Runs a program until SIGTERM or SIGINT: opens it, starts it, stops it within 5 s and exits 0. A
 * second signal, or 5 s gone, ends the process with 1. So does a failure: an expected one with its
 * sentence on stderr, a bug (also a rejection or exception nobody caught) with a fatal line in the
 * log. Start-up repairs what that leaves. Whoever started it as a service is told when it is ready.
 *
 * @param open reads the configuration, opens the logs, makes the components; starts nothing
 */
export function runProcess(
  open: () => Promise<Program>,
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
  readonly #open: () => Promise<Program>;
  readonly #notices: ServiceNotices | undefined;
  readonly #config: ProcessConfig;
  #program: Program | undefined;
  #starting: Promise<void> = Promise.resolve();
  #hasStarted = false;
  #isEnding = false;
  #hasFailed = false;

  constructor(
    open: () => Promise<Program>,
    notices: ServiceNotices | undefined,
    config: ProcessConfig,
  ) {
    this.#open = open;
    this.#notices = notices;
    this.#config = config;
  }

  run(): void {
    this.#notices?.starting();
    this.#starting = this.#start();
    this.#starting.catch((error: unknown) => {
      // A start that `stop` has cut short may fail as it likes.
      if (!this.#isEnding) this.fail(error);
    });
  }

  async #start(): Promise<void> {
    this.#program = await this.#open();
    if (this.#isEnding) return;
    await this.#program.component.start();
    this.#hasStarted = true;
    if (!this.#isEnding) this.#notices?.ready();
    this.#program.logging.logger.info('Process started');
  }

  /** The normal stop. */
  stop(signal: NodeJS.Signals): void {
    if (this.#isEnding) process.exit(1);
    this.#isEnding = true;
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

function toStack(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function writeError(text: string): void {
  process.stderr.write(`${text}\n`);
}

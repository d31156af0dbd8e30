import { mkdir } from 'node:fs/promises';
import { type Logger, pino, symbols } from 'pino';
import { systemClock } from './clock.ts';
import { defaultLogFileConfig, LogFile, type LogFileConfig } from './log-file.ts';
import type { StandardOutput } from './standard-output.ts';

export type { Logger };

/** Levels, most urgent first. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug'] as const;

export type LogLevel = (typeof logLevels)[number];

/** The logs of a process. */
export interface Logging {
  /** Make one child for each component: `logger.child({ component: 'despooler' })`. */
  readonly logger: Logger;
  /** Resolves when all lines are written; later ones go to stdout only. */
  close(): Promise<void>;
}

/**
 * Names of log files, as Configuration Manager has them.
 *
 * @see https://learn.microsoft.com/intune/configmgr/core/plan-design/hierarchy/log-files
 */
const fileNames: Readonly<Record<string, string>> = {
  'distribution-manager': 'distmgr.log',
  'package-transfer-manager': 'pkgxfermgr.log',
  'status-manager': 'statmgr.log',
  'hierarchy-manager': 'hman.log',
  'dp-provider': 'smsdpprov.log',
  'pull-dp': 'pulldp.log',
};

/** Lines that no component wrote: those of the process itself. */
const processComponent = 'process';

/** Name of the log file of a component. */
export function logFileNameOf(component: string): string {
  const known = Object.hasOwn(fileNames, component) ? fileNames[component] : undefined;
  return known ?? `${component}.log`;
}

/**
 * Opens the logs of a process: to stdout, and as JSON lines to a file for each component.
 *
 * @param options.directory made when it is not there
 * @param options.stdout absent: only to the files
 */
export async function openLogging(options: {
  directory: string;
  level: LogLevel;
  stdout?: StandardOutput;
  files?: LogFileConfig;
}): Promise<Logging> {
  await mkdir(options.directory, { recursive: true });
  const files = new ComponentFiles(options.directory, options.files ?? defaultLogFileConfig);
  const destination = {
    // pino sets `lastLogger` before each write to a stream that asks for it by this symbol.
    [symbols.needsMetadataGsym]: true,
    lastLogger: undefined as Logger | undefined,
    write(line: string): void {
      options.stdout?.write(line);
      files.write(componentOf(destination.lastLogger), line);
    },
  };
  return { logger: pino({ level: options.level }, destination), close: () => files.close() };
}

/** One file for each component, opened with its first line. */
class ComponentFiles {
  readonly #directory: string;
  readonly #config: LogFileConfig;
  readonly #files = new Map<string, LogFile>();

  constructor(directory: string, config: LogFileConfig) {
    this.#directory = directory;
    this.#config = config;
  }

  write(component: string, line: string): void {
    const name = logFileNameOf(component);
    let file = this.#files.get(name);
    if (!file) {
      const { monotonicMs } = systemClock;
      file = new LogFile({ directory: this.#directory, name, monotonicMs }, this.#config);
      this.#files.set(name, file);
    }
    file.write(line);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.close()));
  }
}

/** Reading a logger's bindings parses them, so once for each. */
const componentOfLogger = new WeakMap<Logger, string>();

function componentOf(logger: Logger | undefined): string {
  if (!logger) return processComponent;
  const known = componentOfLogger.get(logger);
  if (known !== undefined) return known;
  const { component } = logger.bindings();
  const name =
    typeof component === 'string' && isFileName(component) ? component : processComponent;
  componentOfLogger.set(logger, name);
  return name;
}

function isFileName(component: string): boolean {
  return /^[a-z0-9][a-z0-9-]*$/.test(component);
}

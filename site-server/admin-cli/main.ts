#!/usr/bin/env node
import { homedir } from 'node:os';
import { agentVersion } from '../../shared/runtime/agent-version.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { runCommandLine } from './run-command-line.ts';
import { askOnTerminal } from './terminal-question.ts';

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Once: a second signal ends the process at once, as it does with every program.
  process.once(signal, () => interrupted.abort());
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read our output, such as `head`, has seen enough.
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  homeDirectory: homedir(),
  clock: systemClock,
  signal: interrupted.signal,
  timeZone: undefined,
  version: agentVersion(),
  question: process.stdin.isTTY && process.stdout.isTTY ? ask : undefined,
  // Loaded only now: help and completion need no gRPC, and come sooner without.
  connect: async (flags, surroundings) =>
    (await import('./connection.ts')).connect(flags, surroundings),
  enrollHere: async (enrollment, surroundings) =>
    (await import('./own-enrollment.ts')).enrollHere(enrollment, {
      ...surroundings,
      stdin: process.stdin,
      prompt: (text) => process.stderr.write(text),
    }),
});

function ask(text: string): Promise<string | undefined> {
  const { stdin, stdout } = process;
  return askOnTerminal(text, { stdin, stdout, signal: interrupted.signal });
}

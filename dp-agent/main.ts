#!/usr/bin/env node
import { join, resolve } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { ownCredentialsAtStart } from '../shared/certificate-keeper/own-identity.ts';
import { extractFromDirectory } from '../shared/content-library/extract-from-directory.ts';
import { WaybillError } from '../shared/domain/errors.ts';
import { LiveCredentials } from '../shared/rpc/live-credentials.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import { systemClock } from '../shared/runtime/clock.ts';
import { loadConfig } from '../shared/runtime/load-config.ts';
import { logFormFor } from '../shared/runtime/log-text.ts';
import { type Logger, type Logging, openLogging } from '../shared/runtime/logger.ts';
import { type Program, runProcess } from '../shared/runtime/run-process.ts';
import { serviceNoticesFor } from '../shared/runtime/service-notices.ts';
import { StandardOutput } from '../shared/runtime/standard-output.ts';
import { usageFailure } from '../shared/runtime/usage-failure.ts';
import { DpAgent } from './dp-agent.ts';
import { type DpConfig, dpConfigSchema, libraryDirectoryOf } from './dp-config.ts';
import { enrollCommand } from './enrollment/enroll-command.ts';
import { importAtAgent } from './prestaged-content/import-at-agent.ts';

/** Flags every command takes. */
interface Flags {
  readonly config: string;
  readonly listen?: string | undefined;
  readonly logLevel?: string | undefined;
}

const configOption = {
  type: 'string',
  demandOption: true,
  describe: 'YAML configuration file',
} as const;

await yargs(hideBin(process.argv))
  .scriptName('waybill-dp')
  .usage('$0 --config FILE\n\nThe agent of a distribution point.')
  .command(enrollCommand(runAgent))
  .command(
    ['run', '$0'],
    'runs the agent in the foreground',
    (command) =>
      command
        .option('config', configOption)
        .option('listen', { type: 'string', describe: 'host:port, instead of the one in the file' })
        .option('log-level', { type: 'string', describe: 'fatal, error, warn, info or debug' })
        .example('$0 --config /etc/waybill/dp.yaml', ''),
    (flags) => runAgent({ ...flags, logLevel: flags['log-level'] }),
  )
  .command(
    'extract <package>',
    'writes a package out of the content library, every file verified; the agent may be running',
    (command) =>
      command
        .option('config', configOption)
        .positional('package', { type: 'string', demandOption: true, describe: 'package ID' })
        .option('out', { type: 'string', demandOption: true, describe: 'a new or empty directory' })
        .example('$0 extract PS100001 --config dp.yaml --out /tmp/office', ''),
    async (flags) => extract(flags.package, flags.out, flags),
  )
  .command(
    'import <file>',
    'takes a prestaged file into the content library; the agent is running',
    (command) =>
      command
        .option('config', configOption)
        .positional('file', {
          type: 'string',
          demandOption: true,
          describe: 'made by "waybill package export", on this machine',
        })
        .option('agent', {
          type: 'string',
          describe: 'host:port of the running agent, instead of the one in the file',
        })
        .example('$0 import /media/usb/office.wbp --config dp.yaml', ''),
    (flags) => importFile(flags.file, flags),
  )
  .epilogue('Every key of the configuration: docs/configuration.md')
  .version(agentVersion())
  .strict()
  .fail(
    usageFailure(
      'waybill-dp',
      'waybill-dp [run | enroll DP | extract PACKAGE --out DIR | import FILE] --config FILE',
      {
        args: hideBin(process.argv),
        commands: { run: '', enroll: 'DP', extract: 'PACKAGE', import: 'FILE' },
      },
    ),
  )
  .parseAsync();

function configOf(flags: Flags): Promise<DpConfig> {
  return loadConfig({
    schema: dpConfigSchema,
    file: flags.config,
    environment: process.env,
    environmentPrefix: 'WAYBILL_DP_',
    flags: { listen: flags.listen, logLevel: flags.logLevel },
  });
}

async function extract(packageId: string, out: string, flags: Flags): Promise<void> {
  await telling(async () => {
    const config = await configOf(flags);
    await extractFromDirectory(libraryDirectoryOf(config), packageId, out);
    console.log(`${packageId} is in ${out}, every file verified`);
  });
}

async function importFile(
  file: string,
  flags: Flags & { readonly agent?: string | undefined },
): Promise<void> {
  await telling(async () => {
    const config = await configOf(flags);
    const credentials = await readPeerCredentials(config.certificates, {
      identity: { kind: 'dp', dpId: config.dpId },
    });
    const address = flags.agent ?? config.listen;
    const told = (line: string) => console.log(line);
    const agent = { credentials, dpId: config.dpId, address, told };
    await importAtAgent(agent, resolve(file));
  });
}

/** An expected failure is a sentence, and exit code 1. */
async function telling(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    console.error(`waybill-dp: ${error.message}`);
    process.exitCode = 1;
  }
}

function runAgent(flags: Flags): void {
  const notices = serviceNoticesFor(process.env, { clock: systemClock, processId: process.pid });
  runProcess((begun) => openAgent(flags, begun), { notices });
}

async function openAgent(flags: Flags, begun: (logger: Logger) => void): Promise<Program> {
  const config = await configOf(flags);
  const directory = join(config.dataDirectory, 'logs');
  const stdout = new StandardOutput(process.stdout, logFormFor(process.stdout, process.env));
  const logging = await openLogging({ directory, level: config.logLevel, stdout });
  begun(logging.logger);
  try {
    return { component: await agentOf(config, logging), logging };
  } catch (error) {
    await logging.close();
    throw error;
  }
}

async function agentOf(config: DpConfig, { logger }: Logging): Promise<DpAgent> {
  const credentials = new LiveCredentials(
    await ownCredentialsAtStart(config.certificates, {
      identity: { kind: 'dp', dpId: config.dpId },
      nowMs: systemClock.nowMs(),
      wayBack: `call "waybill dp enroll ${config.dpId}" at its site, and here what that prints, with --force`,
    }),
  );
  return DpAgent.open({ clock: systemClock, logger, credentials }, config);
}

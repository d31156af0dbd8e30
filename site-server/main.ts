#!/usr/bin/env node
import { join } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import { systemClock } from '../shared/runtime/clock.ts';
import { loadConfig } from '../shared/runtime/load-config.ts';
import { logFormFor } from '../shared/runtime/log-text.ts';
import { openLogging } from '../shared/runtime/logger.ts';
import { runProcess } from '../shared/runtime/run-process.ts';
import { serviceNoticesFor } from '../shared/runtime/service-notices.ts';
import { StandardOutput } from '../shared/runtime/standard-output.ts';
import { usageFailure } from '../shared/runtime/usage-failure.ts';
import { siteConfigSchema } from './site-config.ts';
import { SiteServer } from './site-server.ts';

const arguments_ = yargs(hideBin(process.argv))
  .scriptName('waybill-site')
  .usage('$0 --config FILE\n\nRuns a site server in the foreground.')
  .option('config', { type: 'string', demandOption: true, describe: 'YAML configuration file' })
  .option('listen', { type: 'string', describe: 'host:port to listen on, instead of the file' })
  .option('log-level', { type: 'string', describe: 'fatal, error, warn, info or debug' })
  .example('$0 --config /etc/waybill/site.yaml', 'run with this configuration')
  .epilogue('Every key of the configuration: docs/configuration.md')
  .version(agentVersion())
  .strict()
  .fail(usageFailure('waybill-site', 'waybill-site --config FILE'))
  .parseSync();

const notices = serviceNoticesFor(process.env, { clock: systemClock, processId: process.pid });

runProcess(
  async () => {
    const config = await loadConfig({
      schema: siteConfigSchema,
      file: arguments_.config,
      environment: process.env,
      environmentPrefix: 'WAYBILL_SITE_',
      flags: { listen: arguments_.listen, logLevel: arguments_['log-level'] },
    });
    const logDirectory = join(config.dataDirectory, 'logs');
    const stdout = new StandardOutput(process.stdout, logFormFor(process.stdout, process.env));
    const logging = await openLogging({
      directory: logDirectory,
      level: config.logLevel,
      stdout,
    });
    const credentials = await readPeerCredentials(config.certificates, {
      identity: { kind: 'site', siteCode: config.siteCode },
    });
    const needs = { clock: systemClock, random: Math.random, logger: logging.logger, credentials };
    return { component: await SiteServer.open(needs, { ...config, logDirectory }), logging };
  },
  { notices },
);

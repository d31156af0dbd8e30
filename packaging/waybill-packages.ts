/** The packages of Waybill: the programs with the command line, and one for each agent. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { type AgentService, agentFiles, agentServices } from './agent-files.ts';
import { type ControlFields, changelogText } from './control-text.ts';
import { copyrightText } from './copyright-text.ts';
import { type PackageContents, writePackage } from './debian-package.ts';
import { libraryPackages, nodeLicense } from './node-runtime.ts';
import { copyFiles, layOutPrograms, programDirectory, programFile } from './program-tree.ts';
import { runTool } from './run-tool.ts';

export interface PackagingRequest {
  /** The root of this repository, built. */
  readonly repository: string;
  /** The directory that gets the packages; made when it is missing. */
  readonly target: string;
  readonly version: string;
  /** The time of all files. */
  readonly epochSeconds: number;
}

/** What goes into every package. */
interface Common {
  readonly copyright: string;
  readonly request: PackagingRequest;
  /** A directory to lay out packages in. */
  readonly ground: string;
}

/**
 * Makes all packages.
 *
 * @returns their paths
 * @throws PackagingFailure with a sentence, when this machine lacks something
 */
export async function makePackages(request: PackagingRequest): Promise<string[]> {
  await mkdir(request.target, { recursive: true });
  const ground = await mkdtemp(join(request.target, 'waybill-packages-'));
  try {
    const programs = await programPackage(request, ground);
    const common = { copyright: programs.copyright, request, ground };
    const agents = await Promise.all(agentServices.map((service) => agentPackage(service, common)));
    const paths: string[] = [];
    for (const contents of [programs.contents, ...agents]) {
      paths.push(await writePackage(contents, request));
    }
    return paths;
  } finally {
    await rm(ground, { recursive: true, force: true });
  }
}

async function programPackage(
  request: PackagingRequest,
  ground: string,
): Promise<{ contents: PackageContents; copyright: string }> {
  const { repository, version } = request;
  const directory = join(ground, 'waybill');
  const { platform, arch } = process;
  const programs = join(directory, programDirectory);
  const machine = { version, machine: { platform, arch } };
  const { modules, binaries } = await layOutPrograms(repository, programs, machine);
  const copyright = copyrightText(modules, request.epochSeconds);
  await writeProgram(directory, 'waybill');
  await write(
    directory,
    '/usr/share/bash-completion/completions/waybill',
    await completion(programs),
  );
  await layOutDocuments(repository, join(directory, '/usr/share/doc/waybill'));
  const license = gzipSync(await nodeLicense(), { level: 9 });
  await write(directory, '/usr/share/doc/waybill/node-license.gz', license);
  const overrides = await readFile(join(repository, 'packaging/debian/waybill.lintian-overrides'));
  await write(directory, '/usr/share/lintian/overrides/waybill', overrides);
  await writeAbout(directory, 'waybill', { copyright, request, ground });
  const agentNames = agentServices.map(({ name }) => name);
  const control: PackageContents['control'] = {
    name: 'waybill',
    version,
    architecture: (await runTool('dpkg', ['--print-architecture'])).trim(),
    depends: await libraryPackages(binaries),
    // Whoever gets other programs than its own is stopped before, and gets a package of the same version.
    breaks: ['<<', '>>'].flatMap((is) => agentNames.map((name) => `${name} (${is} ${version})`)),
    summary: 'moves software packages to distribution points, every byte verified',
    description: [
      'The command line of Waybill, and the programs of its site server and of the agent of distribution points, which the packages waybill-site and waybill-dp run as services.',
      `It brings Node.js ${process.version.slice(1)} along, in ${programDirectory}/bin, since Debian 12 has none that is new enough. Security fixes of Node.js come with new versions of this package.`,
    ],
  };
  return { contents: { control, directory, conffiles: [], scripts: {} }, copyright };
}

async function agentPackage(service: AgentService, common: Common): Promise<PackageContents> {
  const { name, title } = service;
  const { repository, version } = common.request;
  const directory = join(common.ground, name);
  const files = await agentFiles(join(repository, 'packaging/debian'), service);
  await writeProgram(directory, name);
  await write(directory, `/usr/lib/systemd/system/${name}.service`, files.unit);
  await write(directory, `/usr/lib/sysusers.d/${name}.conf`, files.sysusers);
  await write(directory, `/etc/default/${name}`, files.defaults);
  await write(directory, `/usr/share/lintian/overrides/${name}`, files.lintianOverrides);
  await mkdir(join(directory, '/etc/waybill'), { recursive: true });
  await writeAbout(directory, name, common);
  const control: Omit<ControlFields, 'installedKib'> = {
    ...{ name, version, architecture: 'all', breaks: [] },
    depends: [`waybill (= ${version})`, 'systemd'],
    summary: `${title}, as a service`,
    description: [
      `Runs ${name} as a user of its own that can write nothing but its own state, in /var/lib/${name}. Once ${service.configuration} is there, it runs; ${service.writers} writes it.`,
      'Removing the package keeps that state; purging it deletes it.',
    ],
  };
  return { control, directory, conffiles: [`/etc/default/${name}`], scripts: files.scripts };
}

/** A program in the search path: the file that is run by the Node that was brought along. */
async function writeProgram(directory: string, name: string): Promise<void> {
  const line = `exec ${programDirectory}/bin/node ${programDirectory}/${programFile(name)} "$@"`;
  await write(directory, `/usr/bin/${name}`, `#!/bin/sh\n${line}\n`);
}

/** The script that the shell completes words with, as the program itself prints it. */
async function completion(programs: string): Promise<string> {
  const main = join(programs, programFile('waybill'));
  const environment = { PATH: '/usr/bin:/bin', SHELL: '/bin/bash', HOME: '/nonexistent' };
  const options = { env: environment };
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'completion'], options);
  return stdout;
}

async function layOutDocuments(repository: string, target: string): Promise<void> {
  const isPage = (path: string) => path.endsWith('.md');
  await copyFiles(join(repository, 'docs'), target, isPage);
}

async function writeAbout(directory: string, name: string, common: Common): Promise<void> {
  const { version, epochSeconds } = common.request;
  const place = `/usr/share/doc/${name}`;
  await write(directory, `${place}/copyright`, common.copyright);
  const changelog = gzipSync(changelogText(name, version, epochSeconds), { level: 9 });
  await write(directory, `${place}/changelog.gz`, changelog);
}

async function write(directory: string, path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(join(directory, path)), { recursive: true });
  await writeFile(join(directory, path), content);
}

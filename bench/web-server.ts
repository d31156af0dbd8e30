import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../integration/free-port.ts';

/** Debian's nginx with HTTP/2 over TLS on loopback, a key made for this run; and plain HTTP. */
export class WebServer {
  readonly port: number;
  readonly plainPort: number;
  readonly #nginx: ChildProcess;

  private constructor(ports: readonly [number, number], nginx: ChildProcess) {
    [this.port, this.plainPort] = ports;
    this.#nginx = nginx;
  }

  /** @returns undefined, having said why, when nginx is not installed */
  static async start(directory: string, root: string): Promise<WebServer | undefined> {
    if (!isInstalled('nginx')) {
      console.log('what needs a web server is left out: install the package nginx-light');
      return undefined;
    }
    await mkdir(directory, { recursive: true });
    const [port, plainPort] = [await freePort(), await freePort()];
    const key = join(directory, 'key.pem');
    const certificate = join(directory, 'certificate.pem');
    const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    execFileSync(
      'openssl',
      ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', certificate],
      {
        stdio: 'ignore',
      },
    );
    const config = join(directory, 'nginx.conf');
    await writeFile(config, configOf({ directory, root, port, plainPort, key, certificate }));
    const nginx = spawn('nginx', ['-c', config, '-p', directory, '-g', 'daemon off;'], {
      stdio: 'ignore',
    });
    process.on('exit', () => nginx.kill());
    await listening(port);
    return new WebServer([port, plainPort], nginx);
  }

  stop(): void {
    this.#nginx.kill();
  }
}

/** Whether a program of this name can be run. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function configOf(facts: {
  directory: string;
  root: string;
  port: number;
  plainPort: number;
  key: string;
  certificate: string;
}): string {
  const { directory, root, port, plainPort, key, certificate } = facts;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
user root;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl http2;
    listen 127.0.0.1:${plainPort};
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.3;
    root ${root};
  }
}
`;
}

async function listening(port: number): Promise<void> {
  for (let triesLeft = 200; triesLeft > 0; triesLeft--) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isOpen) return;
    await sleep(20);
  }
  throw new Error('nginx does not listen');
}

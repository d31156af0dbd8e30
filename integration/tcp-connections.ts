import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** One row of the kernel's table of TCP sockets (proc(5), /proc/net/tcp). */
interface TcpSocket {
  /** `address:port`, in the kernel's hexadecimal digits. */
  readonly local: string;
  readonly remote: string;
  /** 0 as soon as no process has it open any more. */
  readonly inode: number;
}

/**
 * Connections, as `local remote`, that a process holds open though nobody has their other end open any more: what
 * whoever has left did not take along. Connections between living processes of this host do not
 * count, nor do those with other hosts. The other ends must have been on this host.
 */
export function abandonedConnectionsOf(pid: number): string[] {
  const sockets = tcpSockets();
  const held = socketInodesOf(pid);
  const otherEnds = new Map(sockets.map((socket) => [`${socket.local} ${socket.remote}`, socket]));
  return sockets.flatMap(({ local, remote, inode }) => {
    if (!held.has(inode) || remote.endsWith(':0000')) return [];
    return otherEnds.get(`${remote} ${local}`)?.inode ? [] : [`${local} ${remote}`];
  });
}

function tcpSockets(): TcpSocket[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    readFileSync(table, 'utf8').trim().split('\n').slice(1).map(tcpSocketOf),
  );
}

/** Columns: number, local, remote, state, queues, timers, retransmissions, user, timeout, inode. */
function tcpSocketOf(row: string): TcpSocket {
  const columns = row.trim().split(/\s+/);
  const [local = '', remote = ''] = columns.slice(1, 3).map(mappedToIpv4);
  return { local, remote, inode: Number(columns[9]) };
}

/** One form for both: an address of IPv4 stands in the table of IPv6 with 96 bits before it. */
function mappedToIpv4(address: string): string {
  return address.replace(/^0{16}FFFF0000/, '');
}

function socketInodesOf(pid: number): Set<number> {
  const folder = `/proc/${pid}/fd`;
  return new Set(readdirSync(folder).flatMap((fd) => socketInode(`${folder}/${fd}`)));
}

function socketInode(fd: string): number[] {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(fd))?.[1];
    return inode ? [Number(inode)] : [];
  } catch {
    return []; // Closed while we looked.
  }
}

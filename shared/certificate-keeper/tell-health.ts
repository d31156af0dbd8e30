import { certificateCounts } from '../domain/certificate-keeping.ts';
import type { RpcServer } from '../rpc/rpc-server.ts';
import type { CertificateKeeper } from './certificate-keeper.ts';

/** What a health check asks for to hear whether peers take the agent's certificate. */
export const certificateHealthName = 'waybill.certificate';

/** Tells whoever asks the health of an agent how it stands with its certificate, after each look. */
export function tellCertificateHealth(
  keeper: CertificateKeeper,
  server: Pick<RpcServer, 'tellHealth'>,
): void {
  const tell = () => {
    server.tellHealth(certificateHealthName, certificateCounts(keeper.report().state));
  };
  tell();
  keeper.onLook(tell);
}

// emailjs: lines that end in LF alone, dots that are not stuffed, and no QUIT.
import { readFileSync } from 'node:fs';
import { SMTPClient } from 'emailjs';

const env = process.env;
const client = new SMTPClient({
  host: env.PEER_HOST,
  port: Number(env.PEER_PORT),
  timeout: 50000,
  tls: env.PEER_CA ? { ca: readFileSync(env.PEER_CA) } : false,
  ...(env.PEER_USER ? { user: env.PEER_USER, password: env.PEER_PASSWORD } : {}),
});
await client.sendAsync({
  from: env.PEER_FROM,
  to: env.PEER_TO,
  subject: env.PEER_SUBJECT,
  text: readFileSync(env.PEER_TEXT, 'utf8'),
  attachment: [{ data: readFileSync(env.PEER_FILE), type: 'application/octet-stream', name: 'report.bin' }],
});

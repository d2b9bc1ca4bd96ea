// nodemailer, which most of Node's applications use. It goes without QUIT.
import { readFileSync } from 'node:fs';
import nodemailer from 'nodemailer';

const env = process.env;
const transport = nodemailer.createTransport({
  host: env.PEER_HOST,
  port: Number(env.PEER_PORT),
  logger: true,
  debug: true,
  requireTLS: env.PEER_CA !== '',
  ignoreTLS: env.PEER_CA === '',
  tls: env.PEER_CA ? { ca: readFileSync(env.PEER_CA) } : {},
  auth: env.PEER_USER ? { user: env.PEER_USER, pass: env.PEER_PASSWORD } : undefined,
});
await transport.sendMail({
  from: env.PEER_FROM,
  to: env.PEER_TO,
  subject: env.PEER_SUBJECT,
  text: readFileSync(env.PEER_TEXT, 'utf8'),
  attachments: [{ filename: 'report.bin', content: readFileSync(env.PEER_FILE) }],
});

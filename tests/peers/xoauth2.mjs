// npm smtp-server with XOAUTH2: takes one token, and refuses others with the reason in a 334, as Google does.
// Arguments: certificate, key, user, token. Prints its port, then one line for each mail.
import { readFileSync } from 'node:fs';
import { SMTPServer } from 'smtp-server';

const [cert, key, user, token] = process.argv.slice(2);
const server = new SMTPServer({
  secure: true,
  cert: readFileSync(cert),
  key: readFileSync(key),
  authMethods: ['XOAUTH2'],
  onAuth(auth, session, callback) {
    if (auth.method === 'XOAUTH2' && auth.username === user && auth.accessToken === token) return callback(null, { user });
    return callback(null, { data: { status: '401', schemes: 'bearer mac', scope: 'https://mail.google.com/' } });
  },
  onData(stream, session, callback) {
    stream.resume();
    stream.on('end', () => { console.log(`mail ${session.user}`); callback(null, 'taken'); });
  },
});
server.listen(0, '127.0.0.1', () => console.log(server.server.address().port));

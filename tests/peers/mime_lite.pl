# Perl's MIME::Lite, of which many old scripts are made. It knows no TLS.
use strict;
use warnings;
use MIME::Lite;

open my $in, '<:raw', $ENV{PEER_TEXT} or die "$ENV{PEER_TEXT}: $!";
my $text = do { local $/; <$in> };
my $mail = MIME::Lite->new(
    From    => $ENV{PEER_FROM},
    To      => $ENV{PEER_TO},
    Subject => $ENV{PEER_SUBJECT},
    Type    => 'multipart/mixed',
);
$mail->attach(Type => 'TEXT', Data => $text);
$mail->attach(Type => 'application/octet-stream', Path => $ENV{PEER_FILE}, Filename => 'report.bin', Encoding => 'base64');
my %login = $ENV{PEER_USER} ? (AuthUser => $ENV{PEER_USER}, AuthPass => $ENV{PEER_PASSWORD}) : ();
$mail->send('smtp', $ENV{PEER_HOST}, Port => $ENV{PEER_PORT}, Timeout => 50, Debug => 1, %login) or die 'not sent';

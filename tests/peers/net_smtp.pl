# Perl's own Net::SMTP with a ready mail.
use strict;
use warnings;
use Net::SMTP;

open my $in, '<:raw', $ENV{PEER_MAIL} or die "$ENV{PEER_MAIL}: $!";
my @lines = <$in>;
my $client = Net::SMTP->new($ENV{PEER_HOST}, Port => $ENV{PEER_PORT}, Timeout => 50, Debug => 1) or die "no greeting: $@";
if ($ENV{PEER_CA}) {
    $client->starttls(SSL_ca_file => $ENV{PEER_CA}) or die 'STARTTLS: ' . $client->message;
}
if ($ENV{PEER_USER}) {
    $client->auth($ENV{PEER_USER}, $ENV{PEER_PASSWORD}) or die 'AUTH: ' . $client->message;
}
for my $step ([mail => $ENV{PEER_FROM}], [to => $ENV{PEER_TO}], [data => @lines], ['quit']) {
    my ($name, @words) = @$step;
    $client->$name(@words) or die "$name: " . $client->message;
}

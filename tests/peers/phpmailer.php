<?php
// PHPMailer, which most of PHP's web applications bring along.
require '/usr/share/php/libphp-phpmailer/autoload.php';

$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->SMTPDebug = 2;
$mail->Timeout = 50;
$mail->Host = getenv('PEER_HOST');
$mail->Port = (int) getenv('PEER_PORT');
if (getenv('PEER_CA')) {
    $mail->SMTPSecure = 'tls';
    $mail->SMTPOptions = ['ssl' => ['cafile' => getenv('PEER_CA')]];
}
if (getenv('PEER_USER')) {
    $mail->SMTPAuth = true;
    $mail->Username = getenv('PEER_USER');
    $mail->Password = getenv('PEER_PASSWORD');
}
$mail->CharSet = 'UTF-8';
$mail->setFrom(getenv('PEER_FROM'));
$mail->addAddress(getenv('PEER_TO'));
$mail->Subject = getenv('PEER_SUBJECT');
$mail->Body = file_get_contents(getenv('PEER_TEXT'));
$mail->addAttachment(getenv('PEER_FILE'), 'report.bin');
$mail->send();

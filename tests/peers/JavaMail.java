import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.activation.DataHandler;
import javax.activation.FileDataSource;
import javax.mail.Message;
import javax.mail.Session;
import javax.mail.Transport;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** JavaMail (javax.mail 1.6), as most servers of the Java world carry it. */
public final class JavaMail {
    public static void main(String[] arguments) throws Exception {
        var env = System.getenv();
        var settings = new Properties();
        settings.put("mail.smtp.host", env.get("PEER_HOST"));
        settings.put("mail.smtp.port", env.get("PEER_PORT"));
        settings.put("mail.smtp.timeout", "50000");
        settings.put("mail.smtp.auth", String.valueOf(!env.get("PEER_USER").isEmpty()));
        if (!env.get("PEER_CA").isEmpty()) {
            settings.put("mail.smtp.starttls.required", "true");
            settings.put("mail.smtp.ssl.checkserveridentity", "true");
            settings.put("mail.smtp.ssl.socketFactory", trusting(env.get("PEER_CA")).getSocketFactory());
        }
        var session = Session.getInstance(settings);
        session.setDebug(true);

        var mail = new MimeMessage(session);
        mail.setFrom(new InternetAddress(env.get("PEER_FROM")));
        mail.setRecipient(Message.RecipientType.TO, new InternetAddress(env.get("PEER_TO")));
        mail.setSubject(env.get("PEER_SUBJECT"), "UTF-8");
        var text = new MimeBodyPart();
        text.setText(Files.readString(Path.of(env.get("PEER_TEXT"))), "UTF-8");
        var file = new MimeBodyPart();
        file.setDataHandler(new DataHandler(new FileDataSource(env.get("PEER_FILE"))));
        file.setFileName("report.bin");
        mail.setContent(new MimeMultipart(text, file));
        if (env.get("PEER_USER").isEmpty()) {
            Transport.send(mail);
        } else {
            Transport.send(mail, env.get("PEER_USER"), env.get("PEER_PASSWORD"));
        }
    }

    private static SSLContext trusting(String authority) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var in = new FileInputStream(authority)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        return context;
    }
}

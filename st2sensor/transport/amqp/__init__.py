"""The bus on an AMQP broker (RabbitMQ), by kombu and py-amqp."""

"""The bus on an AMQP broker (RabbitMQ), with kombu and py-amqp."""
